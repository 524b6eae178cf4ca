//! JSON text to the values that programs run over, and back.
//!
//! [`read`] and [`mod@write`] are the only places where bytes from outside become values and values become text.

pub(crate) mod read;
pub(crate) mod write;

#[cfg(test)]
mod tests;
