type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2
    ? true
    : false;

/** Checks that the type of a value is exactly the one given. */
export declare function expectType<Expected>(): <Actual>(
  value: Actual,
  ...mismatch: Same<Expected, Actual> extends true
    ? []
    : [expected: Expected, actual: Actual]
) => void;
