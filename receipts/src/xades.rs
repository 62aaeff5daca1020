//! The enveloped XAdES signature of the evidence XML.
