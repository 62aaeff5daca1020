//! C2SP tlog-tiles.
