//! (room imapd)
