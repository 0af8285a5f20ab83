//! The programs that people use, unchanged, across rotations.

mod browser;
