//! The header that a balancer puts before a connection: the PROXY protocol, versions 1 and 2 (HAProxy's
//! proxy-protocol.txt, 2020). Octets in, an address out; no I/O.
//!
//! One spelling only: what the document does not allow is no header. Extensions (TLVs) are skipped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Octets of a header: version 1 has at most 107 (§2.1); version 2 has 16, at most 216 of addresses, and extensions, for
/// which balancers take some hundred (names, TLS details, ids of a cloud).
pub const HEADER_BYTES_MAX: usize = 2048;

/// Octets of a header of version 1 (§2.1: "a 108-byte buffer is always enough").
const LINE_BYTES_MAX: usize = 107;

/// What every header of version 2 begins with (§2.2).
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// What every header of version 1 begins with.
const WORD: &[u8] = b"PROXY ";
/// The shortest header of version 1; one of version 2 is longer.
const SHORTEST: usize = b"PROXY UNKNOWN\r\n".len();
/// Signature, command, family and length of a header of version 2.
const FIXED: usize = 16;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The client's address; IPv4 in its own form, also where it came as IPv6.
    Client(SocketAddr),
    /// The balancer asks for itself, to see whether anybody is here (`LOCAL`).
    Check,
    /// There is a client, and its address is not told: a Unix socket, or unknown.
    Nobody,
}

/// The octets are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAHeader;

/// How many octets are still to be read, at least: as many can be read without taking any of the client's. 0: the header
/// is complete.
///
/// # Errors
/// When no header begins so, or it is too long.
pub fn missing(octets: &[u8]) -> Result<usize, NotAHeader> {
    let begins = |with: &[u8]| {
        let common = with.len().min(octets.len());
        octets.get(..common) == with.get(..common)
    };
    if !begins(WORD) && !begins(SIGNATURE) {
        return Err(NotAHeader);
    }
    if octets.len() < SHORTEST {
        return Ok(SHORTEST - octets.len());
    }
    if begins(WORD) {
        return missing_of_line(octets);
    }
    let Some(length) = octets.get(FIXED - 2..FIXED) else {
        return Ok(FIXED - octets.len());
    };
    let whole = FIXED
        + length
            .iter()
            .fold(0, |sum, octet| sum * 256 + usize::from(*octet));
    if whole > HEADER_BYTES_MAX {
        return Err(NotAHeader);
    }
    whole.checked_sub(octets.len()).ok_or(NotAHeader)
}

fn missing_of_line(octets: &[u8]) -> Result<usize, NotAHeader> {
    let is_text = |line: &[u8]| line.iter().all(|octet| matches!(octet, b' '..=b'~'));
    let missing = match octets {
        [line @ .., b'\r', b'\n'] if is_text(line) => 0,
        [line @ .., b'\r'] if is_text(line) => 1,
        line if is_text(line) => 2,
        _ => return Err(NotAHeader),
    };
    if octets.len() + missing > LINE_BYTES_MAX {
        return Err(NotAHeader);
    }
    Ok(missing)
}

/// Reads a complete header.
///
/// # Errors
/// When it is not one, or there is anything after it.
pub fn read(octets: &[u8]) -> Result<Told, NotAHeader> {
    if missing(octets)? != 0 {
        return Err(NotAHeader);
    }
    let told = match octets.strip_prefix(WORD) {
        Some(line) => read_line(line)?,
        None => read_binary(octets)?,
    };
    Ok(match told {
        Told::Client(client) => {
            let address = client.ip().to_canonical();
            if address.is_unspecified() || address.is_multicast() {
                return Ok(Told::Nobody);
            }
            Told::Client(SocketAddr::new(address, client.port()))
        }
        other => other,
    })
}

/// Version 1 after its first word: `TCP4 source destination port port`.
fn read_line(line: &[u8]) -> Result<Told, NotAHeader> {
    let line = line.strip_suffix(b"\r\n").ok_or(NotAHeader)?;
    let line = std::str::from_utf8(line).map_err(|_| NotAHeader)?;
    let mut words = line.split(' ');
    let mut word = || words.next().ok_or(NotAHeader);
    let address: fn(&str) -> Option<IpAddr> = match word()? {
        // What stands after it is to be ignored.
        "UNKNOWN" => return Ok(Told::Nobody),
        "TCP4" => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
        "TCP6" => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        _ => return Err(NotAHeader),
    };
    let source = address(word()?).ok_or(NotAHeader)?;
    address(word()?).ok_or(NotAHeader)?;
    let source_port = port(word()?).ok_or(NotAHeader)?;
    port(word()?).ok_or(NotAHeader)?;
    match words.next() {
        Some(_) => Err(NotAHeader),
        None => Ok(Told::Client(SocketAddr::new(source, source_port))),
    }
}

/// Decimal, without sign and leading zeros (§2.1).
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit());
    let shortest = text == "0" || !text.starts_with('0');
    text.parse().ok().filter(|_| digits && shortest)
}

/// Version 2: command, family, length, addresses, extensions.
fn read_binary(octets: &[u8]) -> Result<Told, NotAHeader> {
    let rest = octets.strip_prefix(SIGNATURE).ok_or(NotAHeader)?;
    let ([command, family, _, _], rest) = rest.split_first_chunk().ok_or(NotAHeader)?;
    match command {
        // Whatever addresses stand there are to be ignored.
        0x20 => return Ok(Told::Check),
        0x21 => {}
        _ => return Err(NotAHeader),
    }
    let source = match family {
        // TCP over IPv4: source, destination, ports.
        0x11 => {
            let (address, rest) = rest.split_first_chunk::<4>().ok_or(NotAHeader)?;
            (IpAddr::from(*address), rest.get(4..8).ok_or(NotAHeader)?)
        }
        // TCP over IPv6.
        0x21 => {
            let (address, rest) = rest.split_first_chunk::<16>().ok_or(NotAHeader)?;
            (IpAddr::from(*address), rest.get(16..20).ok_or(NotAHeader)?)
        }
        // Unspecified; a Unix stream socket.
        0x00 => return Ok(Told::Nobody),
        0x31 if rest.len() >= 216 => return Ok(Told::Nobody),
        // Datagrams do not arrive over TCP.
        _ => return Err(NotAHeader),
    };
    let (address, ports) = source;
    let port = ports.first_chunk().ok_or(NotAHeader)?;
    Ok(Told::Client(SocketAddr::new(
        address,
        u16::from_be_bytes(*port),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    fn client(text: &str) -> Result<Told, NotAHeader> {
        Ok(Told::Client(text.parse().unwrap()))
    }

    /// Reads as the door does, with the client's octets behind: the header, and how many octets it took.
    fn fed(header: &[u8]) -> Result<(Told, usize), NotAHeader> {
        let wire = [header, b"EHLO client\r\n"].concat();
        let mut octets = Vec::new();
        loop {
            match missing(&octets)? {
                0 => return Ok((read(&octets)?, octets.len())),
                // One at a time, as the slowest network brings them.
                _ => octets.push(wire[octets.len()]),
            }
        }
    }

    #[test]
    fn headers_of_both_versions_are_read_to_their_last_octet() {
        let v4 = [192, 0, 2, 7, 198, 51, 100, 1, 0xc3, 0x50, 0, 25];
        let v6: Vec<u8> = [
            &[0x20, 1, 0xd, 0xb8],
            &[0; 11][..],
            &[7],
            &[0; 15],
            &[1],
            &[0, 99, 0, 25],
        ]
        .concat();
        let mapped: Vec<u8> = [
            &[0; 10][..],
            &[255, 255, 192, 0, 2, 7],
            &[0; 16],
            &[0, 1, 0, 25],
        ]
        .concat();
        let with_extensions = [&v4[..], &[4, 0, 3, 1, 2, 3]].concat();
        let cases: &[(&[u8], &str)] = &[
            (
                b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 25\r\n",
                "192.0.2.7:50000",
            ),
            (
                b"PROXY TCP6 2001:db8::7 2001:db8::1 99 25\r\n",
                "[2001:db8::7]:99",
            ),
            (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 25\r\n", "192.0.2.7:1"),
            (&binary(0x21, 0x11, &v4), "192.0.2.7:50000"),
            (&binary(0x21, 0x11, &with_extensions), "192.0.2.7:50000"),
            (&binary(0x21, 0x21, &v6), "[2001:db8::7]:99"),
            (&binary(0x21, 0x21, &mapped), "192.0.2.7:1"),
        ];
        for (header, address) in cases {
            assert_eq!(read(header), client(address), "{address}");
            assert_eq!(
                fed(header),
                client(address).map(|told| (told, header.len()))
            );
            for end in 0..header.len() {
                assert_ne!(missing(&header[..end]), Ok(0), "{address} {end}");
                assert!(read(&header[..end]).is_err());
            }
        }
    }

    #[test]
    fn checks_and_clients_without_an_address() {
        let v4 = [192, 0, 2, 7, 198, 51, 100, 1, 0xc3, 0x50, 0, 25];
        let cases: &[(&[u8], Told)] = &[
            (&binary(0x20, 0, b""), Told::Check),
            (&binary(0x20, 0x11, &v4), Told::Check),
            (&binary(0x21, 0, b""), Told::Nobody),
            (&binary(0x21, 0x31, &[0; 216]), Told::Nobody),
            (&binary(0x21, 0x11, &[0; 12]), Told::Nobody),
            (b"PROXY UNKNOWN\r\n", Told::Nobody),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", Told::Nobody),
            (b"PROXY TCP4 224.0.0.1 1.2.3.4 1 2\r\n", Told::Nobody),
        ];
        for (header, told) in cases {
            assert_eq!(fed(header), Ok((*told, header.len())), "{header:?}");
        }
    }

    #[test]
    fn what_is_not_a_header_is_known_as_soon_as_it_shows() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LINE_BYTES_MAX - 15));
        assert_eq!(long.len(), LINE_BYTES_MAX + 1);
        let fits = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LINE_BYTES_MAX - 16));
        assert_eq!(fed(fits.as_bytes()), Ok((Told::Nobody, LINE_BYTES_MAX)));
        let mut huge = binary(0x21, 0x11, &[0; 12]);
        huge[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
        let cases: &[&[u8]] = &[
            b"E",
            b"PROXX",
            b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
            b"\r\n\r\n\0\r\nQUIT\r",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n EHLO",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r EHLO",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\0\r\n",
            b"PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
            b"PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
            b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4\r\n",
            long.as_bytes(),
            &huge,
            &binary(0x22, 0x11, &[0; 12]),
            &binary(0x11, 0x11, &[0; 12]),
            &binary(0x21, 0x12, &[9; 12]),
            &binary(0x21, 0x11, &[9; 11]),
            &binary(0x21, 0x21, &[9; 35]),
            &binary(0x21, 0x31, &[0; 215]),
            &binary(0x21, 0x41, &[0; 215]),
        ];
        for header in cases {
            assert_eq!(fed(header), Err(NotAHeader), "{}", header.escape_ascii());
        }
    }
}
