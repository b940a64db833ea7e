'use strict';

const isSpace = require('./is-space');
const { tokenChars } = require('./validation');

const QUOTE = 0x22; // '"'
const BACKSLASH = 0x5c; // '\'

/**
 * Reads the value of a header field from left to right. Every method either
 * moves past what it names or throws a `SyntaxError` that tells where the
 * reading stopped.
 */
class HeaderScanner {
  /**
   * Create a new `HeaderScanner`.
   *
   * @param {String} input The value of the header field
   */
  constructor(input) {
    // Whatever has no characters is taken for an empty value.
    this._input = input.length > 0 ? input : '';
    this._index = 0;
  }

  /**
   * @type {Boolean}
   */
  get done() {
    return this._index === this._input.length;
  }

  /**
   * Skip a given character, if it comes next.
   *
   * @param {Number} code The character code
   * @return {Boolean} `true` if the character was there
   * @public
   */
  skip(code) {
    if (this._peek() !== code) return false;

    this._index++;
    return true;
  }

  /**
   * Skip white space.
   *
   * @public
   */
  skipSpace() {
    while (isSpace(this._peek())) this._index++;
  }

  /**
   * Skip the white space behind a list element. The header may not end with
   * it.
   *
   * @throws {SyntaxError} If there is nothing but white space to the end
   * @public
   */
  skipSpaceInside() {
    const start = this._index;

    this.skipSpace();
    if (this.done && this._index !== start) this.fail();
  }

  /**
   * Read a token.
   *
   * @return {String} The token
   * @throws {SyntaxError} If there is none
   * @public
   */
  token() {
    const start = this._index;

    while (tokenChars[this._peek()] === 1) this._index++;
    if (this._index === start) this.fail();

    return this._input.slice(start, this._index);
  }

  /**
   * Read a token that may be written as a quoted-string. What the quotes hold
   * has to be a token as well, once it is unescaped (RFC 6455, 9.1).
   *
   * @return {String} The token
   * @throws {SyntaxError} If there is none
   * @public
   */
  tokenOrQuotedToken() {
    if (!this.skip(QUOTE)) return this.token();

    let value = '';

    do {
      this.skip(BACKSLASH);
      if (tokenChars[this._peek()] !== 1) this.fail();

      value += this._input[this._index++];
    } while (!this.skip(QUOTE));

    return value;
  }

  /**
   * Give up: what comes next fits nowhere.
   *
   * @throws {SyntaxError} Always
   * @public
   */
  fail() {
    throw new SyntaxError(
      this.done
        ? 'Unexpected end of input'
        : `Unexpected character at index ${this._index}`
    );
  }

  /**
   * Get the next character code without moving past it.
   *
   * @return {Number} The character code, `NaN` at the end
   * @private
   */
  _peek() {
    const header = this._input;

    return header.charCodeAt(this._index);
  }
}

module.exports = HeaderScanner;
