//! How much a visitor may make us hold, and for how long. Visitors are strangers: anybody may read the log.

use std::time::Duration;

/// Connections at the same moment, over all listeners: some 20 kB each, and as many descriptors taken from the daemons'.
pub const CONNECTIONS_MAX: usize = 1024;

/// Connections of one address at the same moment: a whole office behind one address translator, or a proxy of ours; and
/// the interface promises room for 300 handshakes of one address.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 512;

/// The octets of a request's head, and of what is buffered of it. A log reader sends 200; a browser with a full set of
/// headers 2000. (hyper takes no less than 8192.)
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Header fields of a request: browsers send about twenty.
pub const HEADERS_MAX: usize = 64;

/// A TLS handshake: two round trips and slow hardware, as on the other doors.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// From a connection's begin, or the answer before, to the end of the next request's head: one packet in practice. It
/// bounds both the peer that sends an octet a second and the idle connection that is kept open.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// The whole of a request's body: some kilobytes over the worst line.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Octets of a question to the OCSP responder, as a body.
pub const OCSP_BYTES_MAX: usize = 8 * 1024;

/// Octets of a form with a certificate request, each octet of which may take three.
pub const FORM_BYTES_MAX: usize = 64 * 1024;

/// How old a connection may become; then its running answer is finished and it closes. A reader of the whole log opens
/// another, and nobody holds a place for ever.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(120);

/// After that, and at shutdown, for the running answer: some kilobytes to a peer that does read.
pub const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// Files read at the same moment: page cache mostly. More would take threads that the mail daemons' storage needs.
pub const READS_MAX: usize = 8;

/// For how long one look at the store's health answers all who ask: whoever asks in a loop costs the store nothing.
pub const HEALTH_KEPT: Duration = Duration::from_millis(500);

/// Octets of the body of a request to the interface: the options of one command.
pub const API_BODY_BYTES_MAX: usize = 64 * 1024;

/// Requests to the interface answered at the same moment: each may read much of the store, and the mail daemons read there too.
pub const API_CALLS_MAX: usize = 4;

/// For a request to come to its turn among those.
pub const API_TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests to the interface from one address in each window: thirty a second are a program that pages through evidence.
pub const API_REQUESTS_MAX: u32 = 300;

/// How long such a window is.
pub const API_WINDOW: Duration = Duration::from_secs(10);
