//! Keys on a token of SoftHSM2.

use super::*;

/// The library, where Debian has it.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// Tokens in a folder of their own; one is there, its label `post`.
pub struct Tokens {
    folder: PathBuf,
}

impl Tokens {
    /// `None` where SoftHSM2 is not installed.
    pub fn new(scratch: &Path) -> Option<Self> {
        if !tools::have(&["softhsm2-util"]) {
            return None;
        }
        let tokens = Self {
            folder: scratch.join("hsm"),
        };
        fs::create_dir_all(tokens.store()).unwrap();
        let config = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\n",
            tokens.store().display()
        );
        fs::write(tokens.config(), config).unwrap();
        tools::must(
            Command::new("softhsm2-util")
                .args([
                    "--init-token",
                    "--free",
                    "--label",
                    "post",
                    "--pin",
                    "271828",
                    "--so-pin",
                    "314159",
                ])
                .env("SOFTHSM2_CONF", tokens.config()),
        );
        tokens.pin("271828");
        Some(tokens)
    }

    pub fn config(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    fn store(&self) -> PathBuf {
        self.folder.join("tokens")
    }

    pub fn pin_file(&self) -> PathBuf {
        self.folder.join("pin")
    }

    pub fn pin(&self, pin: &str) {
        fs::write(self.pin_file(), pin).unwrap();
        fs::set_permissions(self.pin_file(), Permissions::from_mode(0o600)).unwrap();
    }

    pub fn uri(&self, object: &str) -> String {
        format!(
            "pkcs11:token=post;object={object}?module-path={MODULE}&pin-source=file:{}",
            self.pin_file().display()
        )
    }

    fn take_away(&self, away: bool) {
        let (from, to) = (self.store(), self.folder.join("away"));
        let (from, to) = if away { (from, to) } else { (to, from) };
        fs::rename(from, to).unwrap();
        if away {
            fs::create_dir(self.store()).unwrap();
        }
    }
}

#[test]
fn a_post_signs_by_a_token() {
    let (mut post, device, sink) = post();
    let Some(tokens) = Tokens::new(post.scratch()) else {
        return;
    };
    post.tokens = Some(tokens.config());
    for purpose in ["seal", "log"] {
        let uri = tokens.uri(purpose);
        let made = post.json(&["key", "create", purpose, "--pkcs11", &uri]);
        assert_eq!(made[0]["made"], true);
        let again = post.json(&["key", "create", purpose, "--pkcs11", &uri]);
        assert_eq!(
            (&again[0]["made"], &again[0]["public_key"]),
            (&Value::Bool(false), &made[0]["public_key"])
        );
        post.must(&["key", "rotate", purpose, "--pkcs11", &uri]);
    }
    post.start();
    send(&post, "<one@ministry.example>");
    let mut imap = post.imap(&device).unwrap();
    imap.ok("SELECT INBOX").unwrap();
    imap.ok("FETCH 1 (BODY[])").unwrap();
    imap.ok("LOGOUT").unwrap();
    published(&post);
    let one = bundle(&post, &sink, "<one@ministry.example>");
    let seal = key(&post, &[], "seal", "current");
    assert_eq!(seal["held"], "token");
    assert_eq!(sealed_by(&post, &one), certificate(&seal));
    stock_tools_hold(&one);
    for before in ["log", "seal"] {
        let id = text(&key(&post, &[], before, "overlap"), "id");
        post.must(&["key", "retire", &id, "--destroy"]);
    }
    send(&post, "<two@ministry.example>");
    published(&post);
    assert_eq!(signatures(&post), 1);
    post.stop();

    // A post whose knik.toml names the keys itself.
    let uris = [tokens.uri("seal"), tokens.uri("log")];
    let config = fs::read_to_string(post.config()).unwrap();
    let config = config
        .replace("key = \"keys/seal.key\"", &format!("key = \"{}\"", uris[0]))
        .replace("key = \"keys/log.key\"", &format!("key = \"{}\"", uris[1]))
        .replace(
            "\"keys/seal.pem\"",
            &format!("\"{}\"", text(&seal, "certificate")),
        );
    fs::write(post.config(), config).unwrap();
    fs::remove_file(post.root().join("keys/ring.toml")).unwrap();
    post.start();
    send(&post, "<three@ministry.example>");
    published(&post);
    let three = bundle(&post, &sink, "<three@ministry.example>");
    assert_eq!(sealed_by(&post, &three), certificate(&seal));
    post.must(&["audit"]);
    taken_out_and_put_back(&mut post, &tokens);
}

/// Taken out: said, and nothing is signed; back again, everything goes on.
fn taken_out_and_put_back(post: &mut Post, tokens: &Tokens) {
    post.stop();
    tokens.take_away(true);
    let absent = post.knik(&["log", "key"]);
    assert_eq!(absent.code, 2, "{absent:?}");
    assert!(absent.err.contains("no such token is there"), "{absent:?}");
    post.start();
    send(post, "<four@ministry.example>");
    eventually(Duration::from_secs(20), || {
        let said = post.log().contains("no such token is there");
        said.then_some(()).ok_or_else(|| post.log())
    });
    tokens.take_away(false);
    published(post);
    let log = post.log();
    assert!(!log.contains("271828"), "{log}");
}

#[test]
fn a_wrong_pin_is_tried_once() {
    let (post, ..) = post();
    let Some(tokens) = Tokens::new(post.scratch()) else {
        return;
    };
    let mut post = post;
    post.tokens = Some(tokens.config());
    let create = || {
        let uri = tokens.uri("log");
        post.knik(&["key", "create", "log", "--pkcs11", &uri])
    };
    tokens.pin("000000");
    for said in [
        "the token refused the PIN of",
        "is not tried again",
        "is not tried again",
    ] {
        let ended = create();
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(
            ended.err.contains(said) && !ended.err.contains("000000"),
            "{ended:?}"
        );
        assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
    }
    fs::set_permissions(tokens.pin_file(), Permissions::from_mode(0o644)).unwrap();
    assert!(create().err.contains("others than its owner"));
    tokens.pin("271828");
    assert_eq!(create().code, 0);
}

#[test]
fn what_is_wrong_with_a_key_is_said() {
    let (post, ..) = post();
    let Some(tokens) = Tokens::new(post.scratch()) else {
        return;
    };
    let mut post = post;
    post.tokens = Some(tokens.config());
    let good = tokens.uri("log");
    post.must(&["key", "create", "log", "--pkcs11", &good]);
    let no_library = good.replace(MODULE, "/usr/lib/none.so");
    let other_library = good.replace(MODULE, "/usr/lib/x86_64-linux-gnu/libcrypto.so.3");
    for (purpose, uri, said) in [
        (
            "log",
            no_library.as_str(),
            "/usr/lib/none.so: there is no such library",
        ),
        ("log", other_library.as_str(), "is no PKCS #11 library"),
        (
            "log",
            &good.replace("token=post", "token=other"),
            "no such token is there",
        ),
        ("seal", &good, "it is no key on P-256"),
        (
            "log",
            &good.replace("pkcs11:", "pkcs11:serial=1;"),
            "no such token is there",
        ),
        ("log", "pkcs11:token=post;object=a", "--pkcs11: module-path"),
        ("log", &good.replace("file:", "|cat "), "--pkcs11"),
        (
            "log",
            &good.replace("pin-source=file:", "pin-value="),
            "not taken from the command line",
        ),
    ] {
        let ended = post.knik(&["key", "rotate", purpose, "--pkcs11", uri]);
        assert_eq!(ended.code, 2, "{uri}: {ended:?}");
        assert!(ended.err.contains(said), "{uri}: {ended:?}");
        assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
    }
    // Nothing came of any of it.
    assert_eq!(post.json(&["key", "list"]).len(), 2);
    what_is_wrong_in_the_configuration_is_said(&post, &tokens);
}

/// In knik.toml: another key than the certificate's, one that is not there, and no URI.
fn what_is_wrong_in_the_configuration_is_said(post: &Post, tokens: &Tokens) {
    post.must(&["key", "create", "seal", "--pkcs11", &tokens.uri("seal")]);
    let text = fs::read_to_string(post.config()).unwrap();
    for (object, said) in [
        ("seal", "is for another key"),
        ("none", "under no such name"),
    ] {
        let with = text.replace("\"keys/seal.key\"", &format!("\"{}\"", tokens.uri(object)));
        fs::write(post.config(), with).unwrap();
        let ended = post.knik(&["key", "list"]);
        assert_eq!(ended.code, 0, "{ended:?}");
        let id = post.evidence(&["--event", "account-added"]);
        let show = post.knik(&[
            "evidence",
            "show",
            &super::text(&id[0], "id"),
            "--format",
            "xml",
        ]);
        assert_eq!(show.code, 2, "{show:?}");
        assert!(show.err.contains(said), "{show:?}");
    }
    let bad = text.replace("\"keys/log.key\"", "\"pkcs11:token=a;token=b\"");
    fs::write(post.config(), bad).unwrap();
    let ended = post.knik(&["log", "key"]);
    assert!(
        ended.err.contains("log.key") && ended.err.contains("stands twice"),
        "{ended:?}"
    );
}
