//! (room smtpd)
