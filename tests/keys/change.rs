//! Keys change under load, held by a signer of another user, and nobody is lost.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A post, its signer, and what a stranger was given before anything changed.
struct Scene {
    post: Post,
    sink: Sink,
    apart: Apart,
    /// The anchors of before.
    old: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let (mut post, _, sink) = post();
        let mut apart = Apart::from(&post);
        apart.start();
        post.start();
        let old = post.scratch().join("old.toml");
        fs::copy(post.anchors(), &old).unwrap();
        Self {
            post,
            sink,
            apart,
            old,
        }
    }

    /// `knik key …`, with the signer's configuration.
    fn keys(&self, arguments: &[&str]) -> Ended {
        let signer = self.apart.folder().join("knik.toml");
        let more = ["--signer-config", path_text(&signer)];
        self.post.knik(&[&["key"], arguments, &more].concat())
    }

    fn key(&self, purpose: &str, state: &str) -> Value {
        let signer = self.apart.folder().join("knik.toml");
        key(
            &self.post,
            &["--signer-config", path_text(&signer)],
            purpose,
            state,
        )
    }

    /// A letter of its own, and its bundle.
    fn letter(&self, name: &str) -> PathBuf {
        let message_id = format!("<{name}@ministry.example>");
        send(&self.post, &message_id);
        published(&self.post);
        bundle(&self.post, &self.sink, &message_id)
    }

    /// Whoever watches the log, with these anchors.
    fn look(&self, anchors: &Path) -> i32 {
        let url = format!("http://{}/", self.post.socket(Port::Http));
        let (state, ca) = (self.post.scratch().join("watched"), self.post.ca());
        let [state, ca, anchors] = [state.as_path(), &ca, anchors].map(path_text);
        let options = ["--state", state, "--ca", ca, "--anchors", anchors];
        self.post
            .knik(&[&["monitor", &url], &options[..]].concat())
            .code
    }

    fn verify(&self, file: &Path, anchors: &Path) -> i32 {
        verify(&self.post, file, anchors).code
    }

    fn await_signatures(&self, wanted: usize) {
        eventually(Duration::from_secs(20), || match signatures(&self.post) {
            count if count == wanted => Ok(()),
            count => Err(format!("{count} signatures")),
        });
    }

    /// Both keys change while letters come in.
    fn rotate_under_load(&self) {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let load = scope.spawn(|| {
                let mut sent = 0;
                while !over.load(Ordering::SeqCst) {
                    send(&self.post, &format!("<load.{sent}@ministry.example>"));
                    sent += 1;
                }
                sent
            });
            for purpose in ["log", "seal"] {
                let done = self.keys(&["rotate", purpose, "--why", "the year is over"]);
                assert_eq!(done.code, 0, "{done:?}");
            }
            self.await_signatures(2);
            over.store(true, Ordering::SeqCst);
            assert!(load.join().unwrap() > 0);
        });
    }
}

#[test]
fn keys_change_under_load_and_nobody_is_lost() {
    if !tools::have(&["openssl", "xmlsec1", "python3", "sh"]) {
        return;
    }
    let mut scene = Scene::new();
    let before = scene.letter("before");
    assert_eq!(scene.look(&scene.old), 0);
    let refused = scene.post.knik(&["key", "rotate", "log"]);
    assert!(refused.err.contains("--signer-config"), "{refused:?}");
    scene.rotate_under_load();
    let during = scene.letter("during");
    // Whoever knows the old key alone follows.
    assert_eq!(scene.look(&scene.old), 0);
    assert_eq!(scene.verify(&during, &scene.old), 0);
    let twice = scene.keys(&["rotate", "log"]);
    assert!(twice.err.contains("retire that one first"), "{twice:?}");

    let (log, seal) = (scene.key("log", "overlap"), scene.key("seal", "overlap"));
    for retired in [&log, &seal] {
        let done = scene.keys(&["retire", &text(retired, "id"), "--destroy"]);
        assert_eq!(done.code, 0, "{done:?}");
        assert!(!Path::new(&text(retired, "place")).exists());
    }
    let after = scene.letter("after");
    scene.await_signatures(1);
    let (new, anchors) = (
        certificate(&scene.key("seal", "current")),
        scene.post.anchors(),
    );
    for (file, seal) in [
        (&before, &certificate(&seal)),
        (&during, &new),
        (&after, &new),
    ] {
        assert_eq!(scene.verify(file, &anchors), 0);
        stock_tools_hold(file);
        assert_eq!(sealed_by(&scene.post, file), *seal);
    }
    // Without the overlap nobody is believed: the old anchors know no key that signs.
    assert_eq!(scene.verify(&before, &scene.old), 0);
    assert_eq!(scene.verify(&after, &scene.old), 1);
    assert_eq!((scene.look(&scene.old), scene.look(&anchors)), (1, 0));
    scene.post.must(&["audit"]);
    for name in ["key-added", "key-rotated", "key-retired"] {
        assert_eq!(scene.post.evidence(&["--event", name]).len(), 2, "{name}");
    }
    let text = fs::read_to_string(&anchors).unwrap();
    assert!(
        text.contains("last_size = ") && text.contains("until = "),
        "{text}"
    );
    // The signer finds its keys again.
    scene.apart.kill();
    scene.apart.start();
    scene.letter("last");
    let log = scene.post.log();
    assert!(!log.contains("cannot be done"), "{log}");
}
