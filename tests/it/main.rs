//! The end-to-end tests: the real binary, told as a story. One file a theme.
