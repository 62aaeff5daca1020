//! The tests of the whole: the house's own rules, and the program from outside.

mod tidy;
