//! The crate against what others wrote: published samples, xmlsec1, xmllint, openssl, and bundles altered octet by octet.

mod altered;
mod bundle;
mod made;
mod oracle;
mod samples;
mod xml;
