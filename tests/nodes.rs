//! Several nodes on one PostgreSQL, one bucket and one signer, and no shared disk: what one takes the others show, one that
//! dies is missed by nobody, and a database that is started again loses nothing.
//!
//! `KNIK_NODES_ROUNDS` (default 1) says how often a node is killed and the database restarted.

#[path = "nodes/cluster.rs"]
mod cluster;
#[path = "nodes/load.rs"]
mod load;
#[path = "nodes/witness.rs"]
mod witness;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::crash::ledger::Ledger;
use crate::crash::load::Sent;
use crate::crash::{HOLDERS, selected};
use crate::harness::letters::letter;
use crate::harness::post::Port;
use crate::harness::{Post, eventually};
use cluster::Cluster;
use load::Load;
use witness::Witness;

/// From a deposit on one node to the word of it on another.
const SEEN_WITHIN: Duration = Duration::from_secs(1);

/// From the death of the node that integrates to the next checkpoint of another: a lease of 5 s, a look every half
/// second, and a busy machine.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(12);

#[test]
fn three_nodes_on_one_database() {
    let rounds: u32 = std::env::var("KNIK_NODES_ROUNDS")
        .map_or(1, |rounds| rounds.parse().expect("a number of rounds"));
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let began = Instant::now();
    idle_sees_deposits_of_other_nodes(&cluster);
    let witness = Witness::over(cluster.sockets(Port::Http));
    let mut ledger = Ledger::default();
    for round in 0..rounds {
        a_node_is_killed(&mut cluster, &witness, &mut ledger, 3 * round);
        for (step, power_cut) in [(1, false), (2, true)] {
            the_database_is_restarted(&cluster, &mut ledger, 3 * round + step, power_cut);
        }
    }
    ledger.check(&cluster.nodes[0], &cluster.devices);
    ledger.send_again(&cluster.nodes[1]);
    everything_holds(&cluster, witness);
    eprintln!("all of it in {:?}", began.elapsed());
}

fn idle_sees_deposits_of_other_nodes(cluster: &Cluster) {
    let [a, b, _] = &cluster.nodes[..] else {
        panic!("three nodes");
    };
    let mailbox = a.mailbox(HOLDERS[3]);
    let mut holder = selected(b, &cluster.devices[3]);
    let mut smtp = a.smtp().unwrap();
    let mut worst = Duration::ZERO;
    for n in 1..=10 {
        let tag = holder.send("IDLE").unwrap();
        assert!(holder.response().unwrap().text.starts_with('+'));
        let octets = letter(&format!("<idle{n}@ministry.example>"), &mailbox, 2_000);
        smtp.send("office@ministry.example", &[&mailbox], &octets)
            .unwrap();
        let began = Instant::now();
        while holder.response().unwrap().text != format!("* {n} EXISTS") {}
        worst = worst.max(began.elapsed());
        holder.channel.write(b"DONE\r\n").unwrap();
        assert!(holder.finish(&tag).unwrap().tagged.starts_with("OK"));
    }
    eprintln!("IDLE on another node: seen after {worst:?} at most");
    assert!(worst < SEEN_WITHIN, "{worst:?}");
    holder.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)").unwrap();
    holder.ok("EXPUNGE").unwrap();
}

fn a_node_is_killed(cluster: &mut Cluster, witness: &Witness, ledger: &mut Ledger, round: u32) {
    let load = Load::new(round, cluster.sockets(Port::Smtp), &cluster.nodes[0].domain);
    let sent = load.during(|| {
        load.await_accepted(60);
        let dies = cluster.integrator();
        load.losses.store(true, Ordering::SeqCst);
        cluster.nodes[dies].kill();
        let killed = Instant::now();
        // What the dead node had signed may still come to light: two more are somebody else's.
        let mut newest = witness.newest();
        for _ in 0..2 {
            newest = eventually(TAKEN_OVER_WITHIN, || match witness.newest() {
                now if now > newest => Ok(now),
                _ => Err("nobody integrates".to_owned()),
            });
        }
        let heir = cluster.integrator();
        assert_ne!(dies, heir);
        eprintln!(
            "node {dies} killed: node {heir} integrates after {:?}",
            killed.elapsed()
        );
        cluster.nodes[dies].start();
        load.losses.store(false, Ordering::SeqCst);
        load.await_accepted(30);
    });
    note(ledger, &load, sent);
}

fn the_database_is_restarted(cluster: &Cluster, ledger: &mut Ledger, round: u32, power_cut: bool) {
    let load = Load::new(round, cluster.sockets(Port::Smtp), &cluster.nodes[0].domain);
    let over = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let numbers = scope.spawn(|| numbers_never_go_back(cluster, &over));
        let sent = load.during(|| {
            load.await_accepted(40);
            let began = Instant::now();
            if power_cut {
                cluster.postgres.kill();
                cluster.postgres.start_again();
            } else {
                cluster.postgres.restart();
            }
            let back = began.elapsed();
            load.await_accepted(40);
            eprintln!(
                "database {} and back after {back:?}; 40 letters more after {:?}",
                if power_cut { "cut off" } else { "restarted" },
                began.elapsed()
            );
        });
        over.store(true, Ordering::SeqCst);
        let looks = numbers.join().unwrap();
        assert!(looks.is_ok(), "never looked: {looks:?}");
        sent
    });
    note(ledger, &load, sent);
}

/// UIDNEXT of one mailbox, asked of the nodes in turn: what one says no other takes back. What it was last, or why it was
/// never had.
fn numbers_never_go_back(cluster: &Cluster, over: &AtomicBool) -> Result<u32, String> {
    let mut found = Err("no time".to_owned());
    let mut last = 0;
    for node in cluster.nodes.iter().cycle() {
        if over.load(Ordering::SeqCst) {
            break;
        }
        let status = node
            .imap(&cluster.devices[0])
            .and_then(|mut imap| imap.ok("STATUS INBOX (UIDNEXT)"));
        match status {
            Ok(status) => {
                let text = &status.untagged.last().unwrap().text;
                let now = number(text, "UIDNEXT ").unwrap();
                assert!(now >= last, "UIDNEXT {now} after {last}");
                last = now;
                found = Ok(now);
            }
            // While the database is away a session cannot begin or is ended.
            Err(why) => found = found.or(Err(why)),
        }
    }
    found
}

fn number(text: &str, name: &str) -> Option<u32> {
    let (_, rest) = text.split_once(name)?;
    rest.split([' ', ')']).next()?.parse().ok()
}

/// What was begun goes into the ledger; all of it is held against what is there at the end.
fn note(ledger: &mut Ledger, load: &Load, sent: Vec<Sent>) {
    let (accepted, deferred) = (&load.accepted, &load.deferred);
    eprintln!(
        "round {}: {} letters begun, {} with a 250, {} temporary refusals",
        load.round,
        sent.len(),
        accepted.load(Ordering::SeqCst),
        deferred.load(Ordering::SeqCst)
    );
    ledger.add(sent);
}

fn everything_holds(cluster: &Cluster, witness: Witness) {
    for (local, device) in HOLDERS.iter().zip(&cluster.devices) {
        let mut imap = selected(&cluster.nodes[2], device);
        let answer = imap.ok("UID FETCH 1:* (UID)").unwrap();
        let uids: Vec<u32> = answer
            .untagged
            .iter()
            .filter_map(|response| number(&response.text, "FETCH (UID "))
            .collect();
        assert!(uids.is_sorted_by(|a, b| a < b), "{local}: {uids:?}");
        // IMAP does not show the mod-sequences yet: those of letters never go back from one to the next, nor beyond the
        // mailbox's own.
        let placed = format!(
            "SELECT placement.modseq, placement.modseq <= mailbox.modseq AND uid < uid_next FROM placement \
             JOIN mailbox ON mailbox.id = mailbox JOIN account ON account.id = account \
             WHERE address LIKE '{local}@%' ORDER BY uid"
        );
        let rows = cluster.value(&placed);
        let rows: Vec<_> = rows
            .lines()
            .map(|row| row.split_once('|').unwrap())
            .collect();
        assert_eq!(rows.len(), uids.len());
        assert!(rows.iter().all(|(_, within)| *within == "t"), "{rows:?}");
        let modseqs: Vec<u64> = rows.iter().map(|row| row.0.parse().unwrap()).collect();
        assert!(modseqs.is_sorted(), "{modseqs:?}");
    }
    // Three nodes have the chores: each is done, by one of them.
    eventually(Duration::from_secs(60), || {
        match cluster.value("SELECT COUNT(*) FROM task").as_str() {
            "0" => Ok(()),
            tasks => Err(format!("{tasks} receipts are still owed")),
        }
    });
    assert_eq!(cluster.value("SELECT COUNT(*) FROM stamp"), "1");
    // All of it under a checkpoint, on every node.
    let events: u64 = cluster
        .value("SELECT MAX(ordinal) FROM evidence")
        .parse()
        .unwrap();
    eventually(Duration::from_secs(20), || match witness.newest() {
        newest if newest >= events => Ok(()),
        newest => Err(format!("{newest} of {events} published")),
    });
    for node in &cluster.nodes {
        let report = node.json(&["audit"]);
        assert_eq!(report[0]["holds"], true, "{report:?}");
    }
    let log = |node: &Post| node.root().join("data/log");
    let checkpoints = witness.end(&log(&cluster.nodes[1]));
    eprintln!(
        "{events} events under {checkpoints} checkpoints seen, each the beginning of the next"
    );
    assert!(checkpoints > 3);
}
