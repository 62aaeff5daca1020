//! Receipt mails: the published samples, ours under openssl, and altered ones.
