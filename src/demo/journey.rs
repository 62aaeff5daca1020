//! The steps: a letter in from an agency, read by certificate, proved to a stranger.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mail::{Digest, Timestamp};
use receipts::bundle::container;
use serde_json::Value;

use super::connection::{Connection, Papers};
use super::imap::Imap;
use super::letter::{self, Parties};
use super::post::{Addresses, Post};
use super::smtp::Smtp;
use super::story::{Story, must};
use crate::failure::{Failure, Outcome};
use crate::keys::{self, Readers};

/// The domain of the official addresses.
const DOMAIN: &str = "e-citizen.example";
/// A plausible personal number that nobody has: its serial digits are of no register.
pub(super) const CITIZEN: &str = "2503850017";
/// The code of a company that does not exist.
const COMPANY: &str = "39999901";
/// The agency's address, as its contract has it.
pub(super) const AGENCY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// An address that no contract has.
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
/// Holders connect from anywhere.
const HOLDER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The agency's domain.
const SENDER: &str = "tax.example";

/// Evidence of a reading act is there a moment after the client's TCP acknowledged it.
const EVIDENCE_WITHIN: Duration = Duration::from_secs(10);

/// The operator's configuration has ten minutes, which is long to watch.
const STAMP_EVERY: &str = "1s";

/// A time-stamp follows within its interval, the merge delay, and a look or two.
const STAMPED_WITHIN: Duration = Duration::from_secs(15);

/// What has come of the journey so far.
pub struct Journey {
    pub(super) post: Post,
    pub(super) addresses: Addresses,
    pub(super) papers: Papers,
    pub(super) password: String,
    letter: Vec<u8>,
    message_id: String,
    accepted: String,
    message: String,
    served: PathBuf,
    bundle: PathBuf,
}

/// All steps but the last, which ends the post.
///
/// # Errors
/// What did not hold.
pub fn run(dir: &Path, story: &mut Story<'_>) -> Outcome<Journey> {
    let mut journey = Journey::set_up(dir, story)?;
    journey.contract_and_accounts(story)?;
    journey.device(story)?;
    journey.open(story)?;
    journey.stranger(story)?;
    journey.send(story)?;
    journey.send_again(story)?;
    journey.without_certificate(story)?;
    journey.read(story)?;
    journey.evidence(story)?;
    journey.time_stamp(story)?;
    journey.export(story)?;
    journey.verify(story)?;
    journey.forgeries(story)?;
    Ok(journey)
}

impl Journey {
    fn set_up(dir: &Path, story: &mut Story<'_>) -> Outcome<Self> {
        story.step("A post is set up")?;
        let place = dir.join("post");
        let post = Post::new(&place)?;
        let ([smtp, imap, imaps, http, https], addresses) = Addresses::free()?;
        let made = post.ask_one(&[
            "init",
            &text(&place),
            "--domain",
            DOMAIN,
            "--smtp",
            &smtp,
            "--imap",
            &imap,
            "--imaps",
            &imaps,
            "--http",
            &http,
            "--https",
            &https,
        ])?;
        story.tell(format!("official addresses end in @{DOMAIN}"))?;
        story.tell(format!("log key  {}", field(&made, "log_key")?))?;
        stamp_often(&place.join("knik.toml"))?;
        story.tell(format!(
            "for this demonstration, time-stamps every {STAMP_EVERY} instead of every 10m"
        ))?;
        Ok(Self {
            papers: Papers {
                ca: place.join("pki/ca.pem"),
                device: None,
            },
            addresses,
            post,
            password: String::new(),
            letter: Vec::new(),
            message_id: format!("{}.demo@{SENDER}", jiff::Timestamp::now().as_millisecond()),
            accepted: String::new(),
            message: String::new(),
            served: dir.join("as-read.eml"),
            bundle: dir.join("bundle.zip"),
        })
    }

    fn contract_and_accounts(&self, story: &mut Story<'_>) -> Outcome {
        story.step(
            "The tax service gets a contract: it may send from its address, for its domain",
        )?;
        let ip = AGENCY.to_string();
        let contract = self.post.ask_one(&[
            "contract",
            "add",
            "--name",
            "Հարկային ծառայություն",
            "--ip",
            &ip,
            "--domain",
            SENDER,
            "--profile",
            "pull",
        ])?;
        story.tell(format!(
            "contract {}  {ip} for {SENDER}",
            field(&contract, "id")?
        ))?;
        story.tell(format!("evidence {}", field(&contract, "evidence")?))?;
        story.step("A citizen and a company get their addresses")?;
        for (local, kind, lang) in [(CITIZEN, "person", "hy"), (COMPANY, "entity", "ru")] {
            let address = official(local);
            let account = self
                .post
                .ask_one(&["account", "add", &address, "--kind", kind, "--lang", lang])?;
            story.tell(format!(
                "{address}  evidence {}",
                field(&account, "evidence")?
            ))?;
        }
        Ok(())
    }

    fn device(&mut self, story: &mut Story<'_>) -> Outcome {
        story.step("The citizen's device gets a certificate from the operator's authority")?;
        let device = self.post.dir.with_file_name("device");
        let enrolled = self.post.ask_one(&[
            "account",
            "enrol",
            &official(CITIZEN),
            "--out",
            &text(&device),
        ])?;
        story.tell(format!(
            "serial {}  valid until {}",
            field(&enrolled, "serial")?,
            field(&enrolled, "not_after")?
        ))?;
        story.tell(format!("evidence {}", field(&enrolled, "evidence")?))?;
        self.password = field(&enrolled, "password")?;
        self.papers.device = Some(device);
        Ok(())
    }

    fn open(&mut self, story: &mut Story<'_>) -> Outcome {
        story.step("The post opens")?;
        let ready = self.post.open()?;
        story.tell(ready)
    }

    fn stranger(&self, story: &mut Story<'_>) -> Outcome {
        story.step("A stranger comes from an address that no contract holds")?;
        let (mut smtp, greeting) = Smtp::greeted(Connection::open(STRANGER, self.addresses.smtp)?)?;
        must(greeting.code == 554, || {
            format!("expected 554, got {}", greeting.text)
        })?;
        story.tell(greeting.text)?;
        let after = smtp.expect(503, "EHLO stranger.example")?;
        story.tell(after.text)
    }

    fn send(&mut self, story: &mut Story<'_>) -> Outcome {
        story.step("The tax service sends one letter to both, under STARTTLS")?;
        let (citizen, company, nobody) = (official(CITIZEN), official(COMPANY), official("nobody"));
        let from = format!("notice@{SENDER}");
        let parties = Parties {
            from: &from,
            to: &[&citizen, &company],
            message_id: &self.message_id,
        };
        self.letter = letter::write(&parties, jiff::Timestamp::now())?;
        story.tell(format!(
            "\"{}\", {} octets with its attachment",
            letter::SUBJECT,
            self.letter.len()
        ))?;
        story.tell(format!("sha256 {}", Digest::of(&self.letter)))?;
        let mut smtp = self.smtp()?;
        story.tell(format!("under {}", smtp.tls_version()))?;
        smtp.expect(250, &format!("MAIL FROM:<{from}>"))?;
        smtp.expect(250, &format!("RCPT TO:<{citizen}>"))?;
        smtp.expect(250, &format!("RCPT TO:<{company}>"))?;
        let refused = smtp.expect(550, &format!("RCPT TO:<{nobody}>"))?;
        story.tell(format!("an address that nobody has: {}", refused.text))?;
        let begun = Instant::now();
        let accepted = smtp.data(&self.letter)?;
        story.tell(format!(
            "{}  after {} ms",
            accepted.text,
            begun.elapsed().as_millis()
        ))?;
        self.accepted = accepted.evidence_id()?;
        smtp.expect(221, "QUIT")?;
        let shown = self.post.ask_one(&["evidence", "show", &self.accepted])?;
        self.message = field(&shown, "message")?;
        must(
            field(&shown, "digest")? == Digest::of(&self.letter).tagged(),
            || "another digest was accepted".to_owned(),
        )
    }

    fn send_again(&self, story: &mut Story<'_>) -> Outcome {
        story.step("It is not sure whether that arrived, and sends the same letter again")?;
        let mut smtp = self.smtp()?;
        smtp.expect(250, &format!("MAIL FROM:<notice@{SENDER}>"))?;
        for local in [CITIZEN, COMPANY] {
            smtp.expect(250, &format!("RCPT TO:<{}>", official(local)))?;
        }
        let again = smtp.data(&self.letter)?;
        story.tell(&again.text)?;
        smtp.expect(221, "QUIT")?;
        must(again.evidence_id()? == self.accepted, || {
            "a re-submission got another evidence id".to_owned()
        })?;
        let deposited = self.events("deposited")?.len();
        must(deposited == 2, || {
            format!("{deposited} deposits for two recipients")
        })?;
        story.tell("the same evidence id: nothing was deposited twice")
    }

    fn without_certificate(&self, story: &mut Story<'_>) -> Outcome {
        story.step(
            "Somebody without a certificate, and the citizen under the company's name, get nothing",
        )?;
        let nobody = Papers {
            device: None,
            ..self.papers.clone()
        };
        let mut imap = self.imap(&nobody)?;
        let refused = imap.command(&format!("LOGIN {CITIZEN} secret"))?.tagged;
        must(refused.starts_with("NO"), || {
            format!("let in without a certificate: {refused}")
        })?;
        story.tell(format!("no certificate: {refused}"))?;
        let mut imap = self.imap(&self.papers)?;
        let refused = imap.command(&format!("LOGIN {COMPANY} secret"))?.tagged;
        must(refused.starts_with("NO"), || {
            format!("let into another mailbox: {refused}")
        })?;
        story.tell(format!("another's name: {refused}"))
    }

    fn read(&self, story: &mut Story<'_>) -> Outcome {
        story.step("The citizen reads the letter, known by the certificate alone")?;
        let mut imap = self.imap(&self.papers)?;
        let in_ = imap.ok("AUTHENTICATE EXTERNAL =")?;
        story.tell(in_.tagged)?;
        imap.ok("SELECT INBOX")?;
        let found = imap.ok(&format!(
            "UID SEARCH HEADER Message-ID <{}>",
            self.message_id
        ))?;
        let uid = found
            .with("* SEARCH ")?
            .rsplit(' ')
            .next()
            .unwrap_or("")
            .to_owned();
        let listed = imap.ok(&format!("UID FETCH {uid} (FLAGS ENVELOPE BODYSTRUCTURE)"))?;
        must(!listed.with("FETCH")?.contains("\\Seen"), || {
            "it was seen before it was read".to_owned()
        })?;
        story.tell("first the list of letters: sender, subject, size of the attachment")?;
        let fetched = imap.ok(&format!("UID FETCH {uid} (FLAGS BODY[])"))?;
        must(fetched.with("FETCH")?.contains("\\Seen"), || {
            "the letter was not marked read".to_owned()
        })?;
        let octets = fetched
            .literals
            .first()
            .ok_or_else(|| Failure::is_false("no letter came"))?;
        imap.ok("LOGOUT")?;
        must(octets.ends_with(&self.letter), || {
            "the letter is not what was sent".to_owned()
        })?;
        let trace = octets.len() - self.letter.len();
        story.tell(format!(
            "then the letter: {trace} octets of our trace, and below them the {} that were sent",
            self.letter.len()
        ))?;
        keys::write_new(&self.served, octets, Readers::Owner)
    }

    fn evidence(&self, story: &mut Story<'_>) -> Outcome {
        story.step("What the post can testify")?;
        let begun = Instant::now();
        while self.events("marked-read")?.is_empty() || self.events("handed-over")?.is_empty() {
            must(begun.elapsed() < EVIDENCE_WITHIN, || {
                "no evidence of the reading".to_owned()
            })?;
            std::thread::sleep(Duration::from_millis(100));
        }
        let all = self
            .post
            .ask_json(&["evidence", "list", "--message", &self.message])?;
        for event in &all {
            let recipient = event["recipient"].as_str().unwrap_or("");
            story.tell(format!(
                "{}  {:<20} {}  {recipient}",
                field(event, "time")?,
                field(event, "event")?,
                field(event, "id")?
            ))?;
        }
        let of = |name: &str, local: &str| {
            let address = official(local);
            all.iter()
                .filter(|event| event["event"] == name && event["recipient"] == address.as_str())
                .count()
        };
        for (name, citizen, company) in [
            ("deposited", 1, 1),
            ("listed", 1, 0),
            ("disclosed", 1, 0),
            ("handed-over", 1, 0),
            ("marked-read", 1, 0),
        ] {
            let found = (of(name, CITIZEN), of(name, COMPANY));
            must(found == (citizen, company), || {
                format!("{name}: {found:?} instead of {:?}", (citizen, company))
            })?;
        }
        story.tell("the company has not looked: of its copy there is the deposit and no more")
    }

    fn time_stamp(&self, story: &mut Story<'_>) -> Outcome {
        story.step("The log is time-stamped (RFC 3161), here by the built-in test authority")?;
        let handed_over = self.events("handed-over")?;
        let index = handed_over
            .first()
            .and_then(|event| event["log_index"].as_u64());
        let index = index.ok_or_else(|| Failure::is_false("no handed-over"))?;
        let begun = Instant::now();
        let stamp = loop {
            let status = self.post.ask_one(&["log", "status"])?;
            let stamp = status["last_timestamp"].clone();
            if stamp["size"].as_u64().is_some_and(|size| size > index) {
                break stamp;
            }
            must(begun.elapsed() < STAMPED_WITHIN, || {
                format!("the log was not time-stamped: {status}")
            })?;
            std::thread::sleep(Duration::from_millis(100));
        };
        story.tell(format!(
            "{}  the first {} events, by {}",
            field(&stamp, "time")?,
            stamp["size"],
            field(&stamp, "authority")?
        ))?;
        must(stamp["untrusted"] == true, || {
            "the test authority was taken for a trusted one".to_owned()
        })?;
        story.tell("UNTRUSTED: a test authority of this very post; a real post names others in timestamp.urls")
    }

    fn export(&self, story: &mut Story<'_>) -> Outcome {
        story.step("A bundle for the court: that the citizen was handed the letter")?;
        let handed_over = self.events("handed-over")?;
        let id = handed_over.first().map_or_else(
            || Err(Failure::is_false("no handed-over")),
            |event| field(event, "id"),
        )?;
        let made = self.post.ask_one(&[
            "evidence",
            "export",
            &id,
            "--with-original",
            "--out",
            &text(&self.bundle),
        ])?;
        let count = made["evidence"].as_array().map_or(0, Vec::len);
        must(made["timestamped"] == count, || {
            format!("{count} events, {} under a time-stamp", made["timestamped"])
        })?;
        story.tell(format!(
            "{} with {count} events, seals, proofs, time-stamps and the letter: {} octets",
            self.bundle.display(),
            made["size"]
        ))?;
        let octets = keys::read(&self.bundle)?;
        let files = container::read(&octets).map_err(|e| Failure::file(&self.bundle, &e))?;
        let evidence = files
            .iter()
            .filter(|(name, _)| name.starts_with("events/") || name.starts_with("evidence/"));
        let named = evidence
            .filter(|(_, content)| String::from_utf8_lossy(content).contains(COMPANY))
            .count();
        must(named == 0, || {
            "the bundle speaks of the other recipient".to_owned()
        })?;
        story.tell("no event in it speaks of the other recipient")
    }

    fn verify(&self, story: &mut Story<'_>) -> Outcome {
        story.step(
            "A stranger checks it: only the bundle, the letter as read, and the operator's anchors",
        )?;
        let answer = self.check(&self.bundle, true)?;
        must(answer.code == Some(0), || {
            format!("the bundle does not verify: {}", answer.err.trim())
        })?;
        story.lines(&answer.out)
    }

    fn forgeries(&self, story: &mut Story<'_>) -> Outcome {
        story.step("Forgeries: the bundle is altered in one place")?;
        let octets = keys::read(&self.bundle)?;
        let files = container::read(&octets).map_err(|e| Failure::file(&self.bundle, &e))?;
        for (part, from, to) in [
            ("evidence/", "RE01", "RE02"),
            ("events/", "\"seq\":1", "\"seq\":2"),
            ("original.eml", "Subject: ", "Subjekt: "),
            ("timestamps/", "Untrusted", "Entrusted"),
            (
                "proofs/",
                "c2sp.org/tlog-proof@v1\nindex ",
                "c2sp.org/tlog-proof@v1\nindex 1",
            ),
        ] {
            let forged = self.bundle.with_file_name("forged.zip");
            keys::replace(&forged, &forge(&files, part, from, to)?, Readers::Owner)?;
            let answer = self.check(&forged, false)?;
            must(answer.code == Some(1), || {
                format!("{part}: a forgery was not refuted (exit {:?})", answer.code)
            })?;
            story.tell(answer.err.trim().trim_start_matches("knik: "))?;
        }
        Ok(())
    }

    /// The last steps: the post ends as a supervisor ends it, and is audited.
    ///
    /// # Errors
    /// What did not hold.
    pub fn close(mut self, story: &mut Story<'_>) -> Outcome {
        let ended = self.end(story);
        ended.map_err(|failure| story.broken(&failure))
    }

    fn end(&mut self, story: &mut Story<'_>) -> Outcome {
        story.step(
            "The post closes on SIGTERM, and everything it holds is checked against its log",
        )?;
        let begun = Instant::now();
        let status = self.post.close()?;
        must(status.success(), || format!("serve ended with {status}"))?;
        story.tell(format!("ended after {} ms", begun.elapsed().as_millis()))?;
        let audit = self.post.ask_one(&["audit"])?;
        must(audit["pending"] == 0, || {
            "not everything was published".to_owned()
        })?;
        story.tell(format!(
            "{} events in {} chains, all published; {} message with {} octets",
            audit["events"], audit["chains"], audit["messages"], audit["content_bytes"]
        ))
    }

    fn smtp(&self) -> Outcome<Smtp> {
        let (smtp, greeting) = Smtp::greeted(Connection::open(AGENCY, self.addresses.smtp)?)?;
        must(greeting.code == 220, || {
            format!("expected 220, got {}", greeting.text)
        })?;
        smtp.secure(
            &format!("mta.{SENDER}"),
            &Papers {
                device: None,
                ..self.papers.clone()
            },
        )
    }

    /// A session over each of the two listeners in turn would show the same; the one with STARTTLS is the older.
    fn imap(&self, papers: &Papers) -> Outcome<Imap> {
        if papers.device.is_none() {
            return Imap::greeted(Connection::open(HOLDER, self.addresses.imap)?)?.secure(papers);
        }
        Imap::greeted(Connection::open(HOLDER, self.addresses.imaps)?.start_tls(papers)?)
    }

    fn events(&self, name: &str) -> Outcome<Vec<Value>> {
        self.post.ask_json(&[
            "evidence",
            "list",
            "--message",
            &self.message,
            "--event",
            name,
        ])
    }

    fn check(&self, bundle: &Path, with_message: bool) -> Outcome<super::post::Answer> {
        let anchors = text(&self.post.dir.join("anchors.toml"));
        let (bundle, message) = (text(bundle), text(&self.served));
        let mut args = vec!["verify", &bundle, "--anchors", &anchors];
        if with_message {
            args.extend(["--message", &message]);
        }
        self.post.ask_as_stranger(&std::env::temp_dir(), &args)
    }
}

/// Sets the pace of time-stamps in a configuration that `init` wrote.
fn stamp_often(config: &Path) -> Outcome {
    let text = keys::read(config)?;
    let text = String::from_utf8_lossy(&text);
    let often = text.replacen(
        "\ninterval = \"10m\"",
        &format!("\ninterval = \"{STAMP_EVERY}\""),
        1,
    );
    must(often != text, || "init wrote no interval of 10m".to_owned())?;
    keys::replace(config, often.as_bytes(), Readers::All)
}

/// The bundle with one text replaced in the first file that has it.
fn forge(files: &container::Files, part: &str, from: &str, to: &str) -> Outcome<Vec<u8>> {
    let mut forged: Vec<(String, Vec<u8>)> = files
        .iter()
        .map(|(name, content)| (name.clone(), content.clone()))
        .collect();
    let place = forged.iter_mut().find_map(|(name, content)| {
        let at = content
            .windows(from.len())
            .position(|window| window == from.as_bytes())?;
        name.starts_with(part).then_some((content, at))
    });
    let (content, at) =
        place.ok_or_else(|| Failure::is_false(format!("no \"{from}\" in {part}")))?;
    content.splice(at..at + from.len(), to.bytes());
    let mut octets = Vec::new();
    container::write(
        &forged,
        Timestamp::from_millis(jiff::Timestamp::now().as_millisecond()),
        &mut octets,
    )
    .map_err(|e| Failure::doing("writing a forgery", &e))?;
    Ok(octets)
}

/// The official address of a local part.
pub(super) fn official(local: &str) -> String {
    format!("{local}@{DOMAIN}")
}

fn field(json: &Value, name: &str) -> Outcome<String> {
    json[name]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::is_false(format!("no {name} in {json}")))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
