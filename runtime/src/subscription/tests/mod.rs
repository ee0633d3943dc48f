//! A subscription by itself.
