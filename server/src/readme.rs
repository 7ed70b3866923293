//! The README of the package, whose example is a test.
#![doc = include_str!("../README.md")]
