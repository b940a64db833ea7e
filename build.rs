//! Sets the linker flags of a Node addon where the addon is what is built.

fn main() {
    #[cfg(feature = "binding")]
    napi_build::setup();
}
