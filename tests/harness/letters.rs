//! Messages of many sizes that are known again: each says its own number and length, octet for octet.

/// A message with this Message-ID and about `size` octets, with leading dots and 8-bit text in it.
pub fn letter(message_id: &str, to: &str, size: usize) -> Vec<u8> {
    let mut octets = format!(
        "From: Office <office@ministry.example>\r\nTo: <{to}>\r\nSubject: =?utf-8?b?1L7VodW21bjWgtaB1bjWgtW0?=\r\n\
         Date: Sun, 22 Nov 2026 12:00:00 +0400\r\nMessage-ID: {message_id}\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         Պաշտոնական ծանուցում {message_id}\r\n.leading dot\r\n..two\r\n"
    )
    .into_bytes();
    let mut line = 0_u64;
    while octets.len() < size {
        line += 1;
        // A line that depends on its number and the message: an octet out of place is another message.
        octets.extend(
            format!(
                "{line:08} {message_id} {:016x}\r\n",
                line.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            )
            .bytes(),
        );
    }
    octets
}

/// A multipart message: text, HTML and an attachment of `size` octets in base64.
pub fn letter_with_attachment(message_id: &str, to: &str, size: usize) -> Vec<u8> {
    use base64::Engine as _;
    let content: Vec<u8> = (0..size)
        .map(|at| u8::try_from(at * 7 % 251).unwrap())
        .collect();
    let encoded = base64::engine::general_purpose::STANDARD.encode(content);
    let mut octets = format!(
        "From: <office@ministry.example>\r\nTo: <{to}>\r\nSubject: Decision\r\n\
         Date: Sun, 22 Nov 2026 12:00:00 +0400\r\nMessage-ID: {message_id}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"outer\"\r\n\r\n\
         --outer\r\nContent-Type: multipart/alternative; boundary=\"inner\"\r\n\r\n\
         --inner\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nDecision.\r\n\
         --inner\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Decision.</p>\r\n--inner--\r\n\
         --outer\r\nContent-Type: application/pdf; name=\"decision.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"decision.pdf\"\r\n\r\n"
    )
    .into_bytes();
    for line in encoded.as_bytes().chunks(76) {
        octets.extend_from_slice(line);
        octets.extend_from_slice(b"\r\n");
    }
    octets.extend_from_slice(b"--outer--\r\n");
    octets
}
