//! The crate against what others wrote: published samples, xmlsec1, xmllint, openssl, and bundles altered octet by octet.

mod altered;
mod bundle;
mod cms;
mod made;
mod oracle;
mod receipt_mail;
mod samples;
mod smime;
mod timestamp;
mod xml;
