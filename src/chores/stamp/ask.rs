//! Who gives time-stamps: authorities outside over HTTP (RFC 3161 §3.4), and the built-in test authority. Whatever they
//! answer is verified before it is taken.

use std::path::Path;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use mail::{Digest, Timestamp};
use receipts::seal::SoftSeal;
use receipts::timestamp::{Authority, Imprint, RESPONSE_OCTETS_MAX, Request, Stamped, Token};
use rustls_pki_types::CertificateDer;
use webd::fetch::Client;

use crate::config::KeyPair;
use crate::config::timestamps::Timestamps;
use crate::failure::{Failure, Outcome, chain};
use crate::keys;

/// The media type of a question (RFC 3161 §3.4).
const QUERY: &str = "application/timestamp-query";

/// An authority whose time is further from ours is not believed: one of the two clocks is wrong, and a date that helps
/// nobody must not stand for ever. Ours is kept by NTP to a second; five minutes are what Kerberos allows strangers.
const CLOCKS_APART_MAX_MS: u64 = 5 * 60 * 1000;

/// A time-stamp that holds.
pub struct Answer {
    /// The response as it came.
    pub response: Vec<u8>,
    /// The time in it.
    pub time: Timestamp,
    /// The subject of the authority's certificate.
    pub authority: String,
}

/// The authorities of the configuration.
pub struct Outside {
    urls: Vec<String>,
    anchors: Vec<CertificateDer<'static>>,
    client: Client,
    /// Our time, if our clock is to be trusted.
    now: Option<Timestamp>,
}

impl Outside {
    /// Reads the anchors, each time anew: an operator may have mended them. `now` if the clock is to be trusted.
    ///
    /// # Errors
    /// Names the file.
    pub fn load(settings: &Timestamps, now: Option<Timestamp>) -> Outcome<Self> {
        let anchors = settings.anchors.as_deref().map(keys::certificates);
        let anchors = anchors.transpose()?.unwrap_or_default();
        let mut roots = Vec::new();
        if settings.urls.iter().any(|url| url.starts_with("https:")) {
            // An authority's own web server is often under the roots of its time-stamps.
            roots.clone_from(&anchors);
            let system = Path::new(keys::SYSTEM_AUTHORITIES);
            if system.exists() {
                roots.extend(keys::certificates(system)?);
            }
        }
        Ok(Self {
            urls: settings.urls.clone(),
            anchors,
            client: Client::new(keys::provider(), &roots),
            now,
        })
    }

    /// The first good answer to these octets, of the authorities in their order.
    ///
    /// # Errors
    /// What each of them did wrong.
    pub fn ask(&self, octets: &[u8]) -> Outcome<Answer> {
        let mut faults = Vec::with_capacity(self.urls.len());
        for url in &self.urls {
            match self.ask_one(url, octets) {
                Ok(answer) => return Ok(answer),
                Err(why) => faults.push(why),
            }
        }
        Err(Failure::could_not(faults.join("; ")))
    }

    fn ask_one(&self, url: &str, octets: &[u8]) -> Result<Answer, String> {
        let (request, nonce) = question(octets).map_err(|e| e.to_string())?;
        let response = self
            .client
            .post(url, QUERY, &request.to_der(), RESPONSE_OCTETS_MAX as u64)
            .map_err(|e| chain(&e))?;
        let stamped = check(&response, octets, Some(&nonce), &self.anchors)
            .map_err(|why| format!("{url}: {why}"))?;
        let apart = |now: Timestamp| now.as_millis().abs_diff(stamped.time.as_millis());
        if self.now.is_some_and(|now| apart(now) > CLOCKS_APART_MAX_MS) {
            // Without the time itself: it changes with every try, and one fault is one line.
            return Err(format!(
                "{url}: its time is more than {} min from ours",
                CLOCKS_APART_MAX_MS / 60_000
            ));
        }
        Ok(Answer {
            response,
            time: stamped.time,
            authority: stamped.authority,
        })
    }
}

/// The built-in authority: the operator's own word about the time, in the form of another's.
pub struct TestAuthority {
    authority: Authority<SoftSeal>,
    certificates: Vec<CertificateDer<'static>>,
}

impl TestAuthority {
    /// Reads its certificate and key.
    ///
    /// # Errors
    /// Names the files.
    pub fn load(pair: &KeyPair) -> Outcome<Self> {
        Ok(Self {
            authority: Authority::new(keys::soft_seal(pair)?),
            certificates: keys::certificates(&pair.certificate)?,
        })
    }

    /// A time-stamp of these octets, verified as if it were another's.
    ///
    /// # Errors
    /// What is wrong with its certificate or key.
    pub fn ask(&self, octets: &[u8], now: Timestamp) -> Outcome<Answer> {
        let (request, nonce) = question(octets)?;
        let mut serial = [0; 8];
        random(&mut serial)?;
        // 64 random bits: no number is used twice, though nothing remembers those before.
        let serial = u64::from_be_bytes(serial);
        let response = self.authority.respond(&request.to_der(), now, serial);
        let stamped = check(&response, octets, Some(&nonce), &self.certificates)
            .map_err(|why| Failure::could_not(format!("the test time-stamp authority: {why}")))?;
        Ok(Answer {
            response,
            time: stamped.time,
            authority: stamped.authority,
        })
    }
}

fn question(octets: &[u8]) -> Outcome<(Request, [u8; 8])> {
    let mut nonce = [0; 8];
    random(&mut nonce)?;
    let request = Request::new(&Digest::of(octets), Some(&nonce), true);
    Ok((request, nonce))
}

fn random(octets: &mut [u8]) -> Outcome {
    let filled = SystemRandom::new().fill(octets);
    filled.map_err(|_| Failure::could_not("the system gives no random octets"))
}

fn check(
    response: &[u8],
    octets: &[u8],
    nonce: Option<&[u8]>,
    anchors: &[CertificateDer<'_>],
) -> Result<Stamped, String> {
    let token = Token::from_response(response).map_err(|e| chain(&e))?;
    let imprint = Imprint::sha256(&Digest::of(octets));
    token
        .verify(&imprint, nonce, anchors)
        .map_err(|e| chain(&e))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;

    use rustls_pki_types::pem::PemObject;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    /// An authority over HTTP that answers `answers` questions as if it were `time`, under an anchor.
    fn serving(answers: usize, time: Timestamp) -> (String, CertificateDer<'static>) {
        let root = identity::Authority::create("Post", "a.test", NOW).unwrap();
        let issued = root.timestamp_certificate(NOW).unwrap();
        let (certificate, key) = (issued.certificate_pem, issued.key_pem);
        let seal = SoftSeal::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        let authority = Authority::new(seal);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for connection in listener.incoming().take(answers) {
                let mut connection = BufReader::new(connection.unwrap());
                let mut size = 0;
                loop {
                    let mut line = String::new();
                    connection.read_line(&mut line).unwrap();
                    let line = line.to_ascii_lowercase();
                    if let Some(number) = line.strip_prefix("content-length:") {
                        size = number.trim().parse().unwrap();
                    }
                    if line == "\r\n" {
                        break;
                    }
                }
                let mut question = vec![0; size];
                connection.read_exact(&mut question).unwrap();
                let answer = authority.respond(&question, time, 1);
                let head = format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    answer.len()
                );
                let mut connection = connection.into_inner();
                connection.write_all(head.as_bytes()).unwrap();
                connection.write_all(&answer).unwrap();
            }
        });
        let anchor = CertificateDer::from_pem_slice(root.certificate_pem().as_bytes());
        (url, anchor.unwrap())
    }

    fn asking(url: &str, anchor: &CertificateDer<'static>, now: Option<Timestamp>) -> Outside {
        Outside {
            urls: vec![url.to_owned()],
            anchors: vec![anchor.clone()],
            client: Client::new(keys::provider(), &[]),
            now,
        }
    }

    #[test]
    fn an_authority_far_from_our_clock_is_not_believed_if_ours_is_to_be_trusted() {
        let minutes = |count: i64| Timestamp::from_millis(NOW.as_millis() + count * 60_000);
        for (time, believed) in [
            (NOW, true),
            (minutes(4), true),
            (minutes(6), false),
            (minutes(-6), false),
        ] {
            let (url, anchor) = serving(2, time);
            let answer = asking(&url, &anchor, Some(NOW)).ask(b"checkpoint");
            assert_eq!(answer.is_ok(), believed, "{time}");
            if let Err(why) = answer {
                assert!(
                    why.to_string()
                        .contains("its time is more than 5 min from ours"),
                    "{why}"
                );
            }
            let unsure = asking(&url, &anchor, None).ask(b"checkpoint").unwrap();
            assert_eq!(unsure.time, time);
        }
    }

    #[test]
    fn an_authority_under_another_anchor_is_not_believed() {
        let (url, _) = serving(1, NOW);
        let (_, other) = serving(0, NOW);
        let why = asking(&url, &other, Some(NOW))
            .ask(b"checkpoint")
            .err()
            .unwrap();
        assert!(why.to_string().contains("is not trusted"), "{why}");
    }
}
