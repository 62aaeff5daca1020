//! The court bundle: everything about one event in one file.
