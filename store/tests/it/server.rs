//! What only an engine behind a connection can do: go away, come back, hang, refuse, be spoken to by several nodes. Each
//! test has a PostgreSQL of its own, because it does to the server what others would not bear.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use store::options::{Database, PostgresAt};
use store::postgres::Postgres;
use store::sql::Engine;
use store::{Options, Store, StoreError};

use crate::pairing::{Home, Pairing};
use crate::post::{Post, letter, new_contract, operator};
use crate::postgres::Server;

fn at(connection: String) -> PostgresAt {
    PostgresAt {
        connection,
        anchors: None,
    }
}

fn options(home: &Home, connection: &str) -> Options {
    Options {
        database: Database::Postgres(at(connection.to_owned())),
        ..home.options()
    }
}

/// A post on a new database of this server. Its home's own database is not used.
fn post_on(server: &Server) -> (Post, String) {
    let connection = server.database();
    let home = Home::new(Pairing::SqliteSegments);
    let store = Store::open(options(&home, &connection)).unwrap();
    (Post::over(home, store), connection)
}

#[test]
fn a_server_started_again_under_load_loses_nothing_and_doubles_nothing() {
    let Some(server) = Server::start() else {
        return;
    };
    let (post, _) = post_on(&server);
    let account = post.account("1111111111");
    let (over, accepted) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (post, account, over, accepted) = (&post, &account, &over, &accepted);
            scope.spawn(move || {
                let mut number = 0;
                while !over.load(Ordering::SeqCst) {
                    let octets = letter(&format!("{thread}-{number}"), 1_000);
                    match post.deposit(&octets, &[account]) {
                        // As a sender does: what was not accepted is sent again, the same.
                        Err(StoreError::Unavailable(_)) => {
                            std::thread::sleep(Duration::from_millis(20));
                        }
                        other => {
                            other.unwrap();
                            number += 1;
                            accepted.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                    // Reading goes on too, or says that it cannot.
                    match post.store.snapshot(post_inbox(post, account)) {
                        Ok(_) | Err(StoreError::Unavailable(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        for end in [Server::stop, Server::kill, Server::stop] {
            let before = accepted.load(Ordering::SeqCst);
            within(Duration::from_secs(20), "deposits", || {
                accepted.load(Ordering::SeqCst) > before + 20
            });
            end(&server);
            std::thread::sleep(Duration::from_millis(200));
            server.start_again();
        }
        let before = accepted.load(Ordering::SeqCst);
        within(Duration::from_secs(20), "deposits", || {
            accepted.load(Ordering::SeqCst) > before + 20
        });
        over.store(true, Ordering::SeqCst);
    });
    assert!(!post.store.failed());
    let placed = post.store.snapshot(post.inbox(&account)).unwrap().entries;
    assert_eq!(placed.len(), accepted.load(Ordering::SeqCst));
    post.store.audit().unwrap();
}

fn post_inbox(post: &Post, account: &store::register::Account) -> store::mailboxes::MailboxId {
    loop {
        match post.store.mailbox(account.id, "INBOX") {
            Ok(found) => return found.unwrap().id,
            Err(StoreError::Unavailable(_)) => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => panic!("{error}"),
        }
    }
}

fn within(limit: Duration, what: &str, done: impl Fn() -> bool) {
    let until = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < until, "no {what} within {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_node_hears_within_a_second_whose_mailbox_another_changed() {
    let Some(server) = Server::start() else {
        return;
    };
    let (post, connection) = post_on(&server);
    let (one, two) = (post.account("1111111111"), post.account("2222222222"));
    // The other node has a directory of its own, and of the content none: it only listens.
    let home = Home::new(Pairing::SqliteSegments);
    let other = Store::open(options(&home, &connection)).unwrap();
    let told = [AtomicUsize::new(0), AtomicUsize::new(0)].map(Arc::new);
    let guards = [&one, &two].map(|account| {
        let count = Arc::clone(&told[usize::from(account.id == two.id)]);
        let heard = Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        other.watch(account.id, heard)
    });
    // Two looks at the counter, a quarter of a second apart, may tell everybody of what came before; then they have nothing
    // more to tell.
    std::thread::sleep(Duration::from_millis(1500));
    let before = [0, 1].map(|n: usize| told[n].load(Ordering::SeqCst));
    for n in 0..5 {
        post.deposit(&letter(&n.to_string(), 300), &[&one]).unwrap();
    }
    within(Duration::from_secs(1), "news", || {
        told[0].load(Ordering::SeqCst) >= before[0] + 5
    });
    assert_eq!(
        told[1].load(Ordering::SeqCst),
        before[1],
        "nothing happened in the second account"
    );
    let revision = other.revision();
    post.store
        .add_contract(operator(), new_contract("New", "127.0.0.7/32"))
        .wait()
        .unwrap();
    within(Duration::from_secs(1), "new revision", || {
        other.revision() != revision
    });
    // A server that was started again is listened to again.
    let before = told[0].load(Ordering::SeqCst);
    server.restart();
    while post.deposit(&letter("again", 300), &[&one]).is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    within(Duration::from_secs(10), "news after a restart", || {
        told[0].load(Ordering::SeqCst) > before
    });
    drop(guards);
}

#[test]
fn a_node_that_falls_silent_holds_up_the_others_for_ten_seconds_at_most() {
    let Some(server) = Server::start() else {
        return;
    };
    let (post, connection) = post_on(&server);
    let account = post.account("1111111111");
    let silent = Postgres::open(&at(connection)).unwrap();
    let mut writer = silent.writer().unwrap();
    writer.begin().unwrap();
    let began = Instant::now();
    post.deposit(&letter("late", 300), &[&account]).unwrap();
    let waited = began.elapsed();
    assert!(
        waited > Duration::from_secs(4),
        "the lock was not held: {waited:?}"
    );
    assert!(waited < Duration::from_secs(10), "{waited:?}");
    // The silent one has lost its transaction, and is told so; its next one is good again.
    assert!(matches!(writer.commit(), Err(StoreError::Unavailable(_))));
    writer.begin().unwrap();
    writer.commit().unwrap();
}

#[test]
fn what_is_sent_without_waiting_fails_its_own_act_and_no_other() {
    let Some(server) = Server::start() else {
        return;
    };
    let (post, connection) = post_on(&server);
    let engine = Postgres::open(&at(connection)).unwrap();
    let mut writer = engine.writer().unwrap();
    let insert = "INSERT INTO subscription (account, name) VALUES ($1, $2)";
    writer.begin().unwrap();
    let mut endings = Vec::new();
    for name in ["a", "b", "a", "c"] {
        writer.mark().unwrap();
        writer
            .sql()
            .put(insert, &[7_i64.into(), name.into()])
            .unwrap();
        let settled = writer.sql().settle();
        endings.push(settled.is_ok());
        match settled {
            Ok(()) => writer.keep().unwrap(),
            Err(error) => {
                assert!(matches!(error, StoreError::Sql(_)), "{error}");
                writer.undo().unwrap();
            }
        }
    }
    assert_eq!(endings, [true, true, false, true]);
    writer.commit().unwrap();
    let names = || {
        post.store
            .subscriptions(store::register::AccountId(7))
            .unwrap()
    };
    assert_eq!(names(), ["a", "b", "c"]);
    // A failure that nobody asked about is found at the commit, and nothing of the transaction stays.
    writer.begin().unwrap();
    for name in ["d", "a"] {
        writer
            .sql()
            .put(insert, &[7_i64.into(), name.into()])
            .unwrap();
    }
    assert!(matches!(writer.commit(), Err(StoreError::Sql(_))));
    assert_eq!(names(), ["a", "b", "c"]);
}

#[test]
fn the_store_may_be_called_on_a_worker_of_a_runtime() {
    let Some(server) = Server::start() else {
        return;
    };
    let (post, _) = post_on(&server);
    let account = post.account("1111111111");
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let store = post.store.clone();
    let address = account.address.clone();
    let found = runtime.block_on(async move {
        let task = tokio::spawn(async move { store.account_for(&address).unwrap() });
        task.await.unwrap()
    });
    assert_eq!(found, Some(account));
}

#[test]
fn a_server_that_cannot_keep_a_promise_is_refused_by_name() {
    let Some(server) = Server::start() else {
        return;
    };
    let connection = server.database();
    let refused = || match Postgres::open(&at(connection.clone())) {
        Err(StoreError::Invalid(why)) => why,
        other => panic!("not refused: {:?}", other.err()),
    };
    for setting in ["fsync", "full_page_writes"] {
        let set = |value| {
            server.sql("postgres", &format!("ALTER SYSTEM SET {setting} = {value}"));
            server.sql("postgres", "SELECT pg_reload_conf()");
        };
        set("off");
        within(Duration::from_secs(5), setting, || {
            server.sql("postgres", &format!("SHOW {setting}")).trim() == "off"
        });
        let why = refused();
        assert!(why.contains(&format!("{setting} is off")), "{why}");
        set("on");
        within(Duration::from_secs(5), setting, || {
            server.sql("postgres", &format!("SHOW {setting}")).trim() == "on"
        });
    }
    server.sql(
        "postgres",
        "ALTER DATABASE post0 SET default_transaction_read_only = on",
    );
    let standby = Postgres::open(&at(connection.clone())).err().unwrap();
    assert!(matches!(standby, StoreError::Unavailable(_)), "{standby}");
    server.sql(
        "postgres",
        "CREATE DATABASE latin ENCODING latin1 LOCALE 'C' TEMPLATE template0",
    );
    let why = Postgres::open(&at(server.connection("latin")))
        .err()
        .unwrap();
    assert!(why.to_string().contains("LATIN1"), "{why}");
}

#[test]
fn a_weaker_commit_is_made_a_synchronous_one() {
    let Some(server) = Server::start() else {
        return;
    };
    let connection = server.database();
    for (set, expected) in [
        ("off", "on"),
        ("local", "on"),
        ("remote_apply", "remote_apply"),
    ] {
        server.sql(
            "postgres",
            &format!("ALTER DATABASE post0 SET synchronous_commit = {set}"),
        );
        let engine = Postgres::open(&at(connection.clone())).unwrap();
        let mut found = String::new();
        engine
            .read(&mut |sql| {
                let setting = "SELECT current_setting('synchronous_commit')";
                found = sql.first(setting, &[], |row| row.string(0))?.unwrap();
                Ok(())
            })
            .unwrap();
        assert_eq!(found, expected, "{set}");
    }
}

#[test]
fn a_password_is_bound_to_the_servers_certificate_and_never_shown() {
    let Some(server) = Server::start() else {
        return;
    };
    let anchors = tls(&server);
    server.sql(
        "postgres",
        "CREATE ROLE holder SUPERUSER LOGIN PASSWORD 'sesame'",
    );
    let port = server.sql("postgres", "SHOW port").trim().to_owned();
    let to = |host: &str, more: &str, anchors: Option<&std::path::Path>| {
        let connection = format!(
            "host={host} hostaddr=127.0.0.1 port={port} user=holder dbname=postgres {more}"
        );
        Postgres::open(&PostgresAt {
            connection,
            anchors: anchors.map(std::path::Path::to_owned),
        })
    };
    let bound = "password=sesame sslmode=verify-full channel_binding=require";
    let engine = to("db.test", bound, Some(&anchors)).unwrap();
    let mut version = String::new();
    engine
        .read(&mut |sql| {
            let query = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
            version = sql.first(query, &[], |row| row.string(0))?.unwrap();
            Ok(())
        })
        .unwrap();
    assert_eq!(version, "TLSv1.3");
    let other = anchors.with_file_name("other.pem");
    for (host, more, anchors, expected) in [
        (
            "db.test",
            "password=wrongsesame sslmode=verify-full",
            Some(&*anchors),
            "password authentication",
        ),
        ("elsewhere.test", bound, Some(&*anchors), "certificate"),
        ("db.test", bound, Some(&*other), "certificate"),
        (
            "db.test",
            "password=sesame sslmode=verify-full",
            None,
            "anchors",
        ),
    ] {
        let why = to(host, more, anchors).err().unwrap().to_string();
        assert!(why.contains(expected), "{host} {more}: {why}");
        assert!(!why.contains("sesame"), "{why}");
    }
}

/// Has the server speak TLS on a loopback port, with a certificate for `db.test`, to whoever has a password; the file of
/// the authority that vouches for it, and beside it that of another.
fn tls(server: &Server) -> std::path::PathBuf {
    let issued = |name: &str| {
        let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let (ca_key, key) = (
            rcgen::KeyPair::generate().unwrap(),
            rcgen::KeyPair::generate().unwrap(),
        );
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let own = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let own = own.signed_by(&key, &issuer).unwrap();
        (ca_certificate.pem(), own.pem(), key.serialize_pem())
    };
    let (ca, certificate, key) = issued("db.test");
    let data = server.data();
    let owner = fs::metadata(&data).unwrap();
    for (name, text) in [
        ("server.crt", &certificate),
        ("server.key", &key),
        ("ca.pem", &ca),
        ("other.pem", &issued("db.test").0),
        (
            "pg_hba.conf",
            &"local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n".to_owned(),
        ),
    ] {
        let file = data.join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    for setting in [
        "ssl = on".to_owned(),
        "listen_addresses = '127.0.0.1'".to_owned(),
        format!("port = {port}"),
    ] {
        server.sql("postgres", &format!("ALTER SYSTEM SET {setting}"));
    }
    server.restart_on(port);
    data.join("ca.pem")
}
