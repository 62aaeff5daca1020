//! Whose an address is and was: intervals at their edges, and the store's answer against that of the events alone.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ipnet::IpNet;
use mail::digest::Digest;
use mail::time::Timestamp;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use receipts::event::Event;
use receipts::id::ContractId;
use receipts::tenure::Tenure;
use store::contracts::{ContractChange, ContractStep, Paper, Things};
use store::evidence::Entry;
use store::{Options, Store};

use crate::pairing::{Home, Pairing, every_pairing};
use crate::post::{Post, new_contract, operator};

every_pairing! {
    an_interval_has_its_first_instant_and_not_its_last,
    one_address_is_two_contracts_never_at_one_instant,
    nothing_reaches_back,
    certificates_overlap_and_the_last_one_gone_lets_nothing_in,
    the_rows_and_the_events_give_one_answer,
    a_row_that_its_events_do_not_tell_is_found,
}

/// Far from the clock of any machine that runs this.
const BEGIN: i64 = 1_795_000_000_000;

struct House {
    post: Post,
    wall: Arc<AtomicI64>,
}

impl House {
    fn new(pairing: Pairing) -> Self {
        let home = Home::new(pairing);
        let wall = Arc::new(AtomicI64::new(BEGIN));
        let source = Arc::clone(&wall);
        let store = Store::open(Options {
            clock: Some(Arc::new(move || source.load(Ordering::SeqCst))),
            ..home.options()
        });
        let post = Post::over(home, store.unwrap());
        Self { post, wall }
    }

    fn store(&self) -> &Store {
        &self.post.store
    }

    fn at(&self, millis: i64) {
        self.wall.store(BEGIN + millis, Ordering::SeqCst);
    }

    fn whose(&self, peer: &str) -> Option<String> {
        let found = self.store().contract_for(peer.parse().unwrap()).unwrap();
        found.map(|contract| contract.name)
    }

    fn change(&self, id: ContractId, change: ContractChange) -> Result<(), String> {
        let changed = self.store().change_contract(operator(), id, change);
        changed.wait().map(drop).map_err(|e| e.to_string())
    }

    fn add(&self, name: &str, network: &str) -> Result<ContractId, String> {
        let added = self
            .store()
            .add_contract(operator(), new_contract(name, network));
        added
            .wait()
            .map(|(contract, _)| contract.id)
            .map_err(|e| e.to_string())
    }

    fn tenure(&self, id: ContractId) -> Tenure {
        let chain = self.store().contract_chain(id).unwrap();
        let events: Vec<Event> = chain
            .into_iter()
            .filter_map(Entry::whole)
            .map(|record| record.event)
            .collect();
        Tenure::replay(id, &events).unwrap()
    }
}

fn instant(millis: i64) -> Timestamp {
    Timestamp::from_millis(BEGIN + millis)
}

fn addresses(network: &str) -> Things {
    Things {
        addresses: vec![network.parse().unwrap()],
        ..Things::default()
    }
}

fn adding(network: &str, from: Option<i64>, until: Option<i64>) -> ContractChange {
    ContractChange {
        add: addresses(network),
        from: from.map(instant),
        until: until.map(instant),
        ..ContractChange::default()
    }
}

fn removing(network: &str, until: Option<i64>) -> ContractChange {
    ContractChange {
        remove: addresses(network),
        until: until.map(instant),
        ..ContractChange::default()
    }
}

fn an_interval_has_its_first_instant_and_not_its_last(pairing: Pairing) {
    let house = House::new(pairing);
    let id = house.post.contract.id;
    house
        .change(id, adding("10.0.0.1/32", Some(1_000), Some(2_000)))
        .unwrap();
    house
        .change(id, adding("::ffff:10.0.1.0/120", Some(1_000), Some(2_000)))
        .unwrap();
    for (millis, held) in [(999, false), (1_000, true), (1_999, true), (2_000, false)] {
        house.at(millis);
        for peer in ["10.0.0.1", "::ffff:10.0.0.1", "10.0.1.255"] {
            assert_eq!(house.whose(peer).is_some(), held, "{peer} at {millis}");
            let peer: IpAddr = peer.parse().unwrap();
            let told = house.tenure(id).holds(peer, instant(millis));
            assert_eq!(told.held(), held, "{told}");
            let owners = house.store().contracts_of(peer, instant(millis)).unwrap();
            assert_eq!(owners.len(), usize::from(held), "{peer} at {millis}");
        }
    }
    let holdings = house.store().contract_holdings(id).unwrap();
    assert_eq!(holdings.addresses.len(), 3, "what is over is still there");
    house.store().audit().unwrap();
}

fn one_address_is_two_contracts_never_at_one_instant(pairing: Pairing) {
    let house = House::new(pairing);
    let agency = house.post.contract.id;
    let other = house.add("Other", "10.0.0.1/32").unwrap();
    let refused = house
        .change(other, adding("127.0.0.2/32", None, None))
        .unwrap_err();
    assert!(
        refused.contains("\"Agency\"") && refused.contains(&agency.to_string()),
        "{refused}"
    );
    house
        .change(agency, removing("127.0.0.2/32", Some(5_000)))
        .unwrap();
    let early = house
        .change(other, adding("127.0.0.2/32", Some(4_999), None))
        .unwrap_err();
    assert!(
        early.contains("\"Agency\"") && early.contains("until"),
        "{early}"
    );
    house
        .change(other, adding("127.0.0.2/32", Some(5_000), None))
        .unwrap();
    let twice = house
        .change(other, adding("127.0.0.2/32", Some(9_000), None))
        .unwrap_err();
    assert!(twice.contains("this contract's already"), "{twice}");
    house.at(4_999);
    assert_eq!(house.whose("127.0.0.2").as_deref(), Some("Agency"));
    house.at(5_000);
    assert_eq!(house.whose("127.0.0.2").as_deref(), Some("Other"));

    // Nested networks are no conflict: the narrowest decides, and says when a narrower one will.
    let wide = house.add("Wide", "127.0.0.0/24").unwrap();
    let found = house
        .store()
        .contract_for("127.0.0.9".parse().unwrap())
        .unwrap()
        .unwrap();
    assert_eq!((found.id, found.open_until), (wide, None));
    house
        .change(other, adding("127.0.0.8/30", Some(9_000), None))
        .unwrap();
    let found = house
        .store()
        .contract_for("127.0.0.9".parse().unwrap())
        .unwrap()
        .unwrap();
    assert_eq!((found.id, found.open_until), (wide, Some(instant(9_000))));
    house.at(9_000);
    assert_eq!(house.whose("127.0.0.9").as_deref(), Some("Other"));
    let owners = house
        .store()
        .contracts_of("127.0.0.9".parse().unwrap(), instant(9_000))
        .unwrap();
    let names: Vec<_> = owners.iter().map(|owner| owner.name.as_str()).collect();
    assert_eq!(names, ["Other", "Wide"]);
    house.store().audit().unwrap();
}

fn nothing_reaches_back(pairing: Pairing) {
    let house = House::new(pairing);
    let id = house.post.contract.id;
    house.at(10_000);
    for (change, says) in [
        (adding("10.0.0.1/32", Some(9_999), None), "--from"),
        (adding("10.0.0.1/32", None, Some(9_999)), "--until"),
        (removing("127.0.0.2/32", Some(9_999)), "--until"),
        (
            adding("10.0.0.1/32", Some(20_000), Some(20_000)),
            "not after",
        ),
        (removing("10.0.0.1/32", None), "10.0.0.1/32"),
        (
            ContractChange {
                from: Some(instant(20_000)),
                ..ContractChange::default()
            },
            "--from",
        ),
        (ContractChange::default(), "nothing"),
        (
            ContractChange {
                valid_until: Some(Some(instant(9_999))),
                ..ContractChange::default()
            },
            "past",
        ),
    ] {
        let refused = house.change(id, change).unwrap_err();
        assert!(refused.contains(says), "{says}: {refused}");
    }
    // What is taken beside what is added ends when that begins: no gap, no overlap.
    let moved = ContractChange {
        add: addresses("10.0.0.7/32"),
        remove: addresses("127.0.0.2/32"),
        from: Some(instant(12_000)),
        ..ContractChange::default()
    };
    house.change(id, moved).unwrap();
    house.at(11_999);
    assert!(house.whose("127.0.0.2").is_some() && house.whose("10.0.0.7").is_none());
    house.at(12_000);
    assert!(house.whose("127.0.0.2").is_none() && house.whose("10.0.0.7").is_some());
    let end = house.store().end_contract(operator(), id, "over".into());
    end.wait().unwrap();
    let dead = house
        .change(id, adding("10.0.0.1/32", None, None))
        .unwrap_err();
    assert!(dead.contains("is ended"), "{dead}");
}

fn certificates_overlap_and_the_last_one_gone_lets_nothing_in(pairing: Pairing) {
    let house = House::new(pairing);
    let id = house.post.contract.id;
    let (first, second) = (Digest::of(b"first"), Digest::of(b"second"));
    let certificates = |digest| Things {
        certificates: vec![digest],
        ..Things::default()
    };
    let pinned = || {
        house
            .store()
            .contract(id)
            .unwrap()
            .unwrap()
            .terms
            .client_certs
    };
    assert_eq!(pinned(), None);
    let add = |digest| ContractChange {
        add: certificates(digest),
        ..ContractChange::default()
    };
    let remove = |digest, until| ContractChange {
        remove: certificates(digest),
        until: Some(instant(until)),
        ..ContractChange::default()
    };
    house.change(id, add(first)).unwrap();
    house.change(id, add(second)).unwrap();
    assert_eq!(pinned().unwrap().len(), 2);
    house.change(id, remove(first, 3_000)).unwrap();
    house.change(id, remove(second, 6_000)).unwrap();
    house.at(3_000);
    assert_eq!(pinned(), Some(vec![second]));
    house.at(6_000);
    assert_eq!(pinned(), Some(Vec::new()), "closed, not open to everybody");
    let any = ContractChange {
        any_certificate: true,
        ..ContractChange::default()
    };
    house.change(id, any).unwrap();
    assert_eq!(pinned(), None);
    house.store().audit().unwrap();
}

/// One thing that an operator does.
#[derive(Debug, Clone)]
enum Deed {
    Wait(i64),
    Add(usize),
    Apply(usize),
    Step(usize, usize),
    Give(usize, usize, Option<i64>, Option<i64>),
    Take(usize, usize, Option<i64>),
    Dates(usize, Option<i64>),
}

/// Nested, mapped, of both families, and one alone.
const NETWORKS: [&str; 6] = [
    "10.0.0.0/24",
    "10.0.0.4/30",
    "10.0.0.5/32",
    "::ffff:10.0.1.0/120",
    "2001:db8::/32",
    "2001:db8::1/128",
];
const PEERS: [&str; 6] = [
    "10.0.0.1",
    "10.0.0.5",
    "::ffff:10.0.0.6",
    "10.0.1.9",
    "2001:db8::1",
    "2001:db8::2",
];
/// Histories per pairing, and deeds in each.
const HISTORIES: usize = 4;
const DEEDS: usize = 40;

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let later = || proptest::option::of(0..5_000_i64);
    let contract = || 0..6_usize;
    let network = || 0..NETWORKS.len();
    let deed = prop_oneof![
        4 => (0..1_500_i64).prop_map(Deed::Wait),
        2 => network().prop_map(Deed::Add),
        1 => network().prop_map(Deed::Apply),
        6 => (contract(), 0..ContractStep::ALL.len() - 1).prop_map(|(who, step)| Deed::Step(who, step)),
        1 => contract().prop_map(|who| Deed::Step(who, ContractStep::ALL.len() - 1)),
        5 => (contract(), network(), later(), later()).prop_map(|(who, what, from, until)| Deed::Give(who, what, from, until)),
        4 => (contract(), network(), later()).prop_map(|(who, what, until)| Deed::Take(who, what, until)),
        2 => (contract(), later()).prop_map(|(who, until)| Deed::Dates(who, until)),
    ];
    proptest::collection::vec(deed, DEEDS)
}

fn the_rows_and_the_events_give_one_answer(pairing: Pairing) {
    let mut runner = TestRunner::deterministic();
    let (mut held, mut asked) = (0, 0);
    for _ in 0..HISTORIES {
        let history = deeds().new_tree(&mut runner).unwrap().current();
        let house = House::new(pairing);
        let mut now = 1_000;
        let mut contracts = vec![house.post.contract.id];
        for deed in &history {
            house.at(now);
            act(&house, deed, &mut now, &mut contracts);
        }
        // Beyond any event that was dated ahead of the clock, and beyond every interval's end.
        for millis in (0..now + 12_000).step_by(293) {
            for peer in PEERS {
                let peer: IpAddr = peer.parse().unwrap();
                let owners = house.store().contracts_of(peer, instant(millis)).unwrap();
                for id in &contracts {
                    let told = house.tenure(*id).holds(peer, instant(millis)).held();
                    let rows = owners.iter().any(|owner| owner.contract == *id);
                    assert_eq!(told, rows, "{id} {peer} at {millis}: {history:?}");
                    held += usize::from(told);
                    asked += 1;
                }
                if millis >= now + 1_000 {
                    house.at(millis);
                    let gate = house
                        .store()
                        .contract_for(peer)
                        .unwrap()
                        .map(|found| found.id);
                    let first = owners.first().map(|owner| owner.contract);
                    assert_eq!(gate, first, "{peer} at {millis}: {history:?}");
                }
            }
        }
        house.store().audit().unwrap();
    }
    assert!(
        held > asked / 50 && held < asked,
        "{held} of {asked}: histories that say nothing"
    );
}

/// Does it; most of what is drawn is refused, and changes nothing then.
fn act(house: &House, deed: &Deed, now: &mut i64, contracts: &mut Vec<ContractId>) {
    let whose = |who: usize, contracts: &[ContractId]| contracts[who % contracts.len()];
    let from_now = |offset: Option<i64>| offset.map(|offset| *now + offset);
    match *deed {
        Deed::Wait(millis) => *now += millis,
        Deed::Add(what) => {
            contracts.extend(house.add("Body", NETWORKS[what]));
        }
        Deed::Apply(what) => {
            let mut new = new_contract("Applicant", NETWORKS[what]);
            new.terms.declares_static = true;
            let applied = house
                .store()
                .apply_for_contract(operator(), new, Paper::default());
            contracts.extend(applied.wait().map(|(contract, _)| contract.id));
        }
        Deed::Step(who, step) => {
            let (id, step) = (whose(who, contracts), ContractStep::ALL[step]);
            let _ = house
                .store()
                .step_contract(operator(), id, step, Paper::default())
                .wait();
        }
        Deed::Give(who, what, from, until) => {
            let change = adding(NETWORKS[what], from_now(from), from_now(until));
            let _ = house.change(whose(who, contracts), change);
        }
        Deed::Take(who, what, until) => {
            let _ = house.change(
                whose(who, contracts),
                removing(NETWORKS[what], from_now(until)),
            );
        }
        Deed::Dates(who, until) => {
            let change = ContractChange {
                valid_until: Some(from_now(until).map(instant)),
                ..ContractChange::default()
            };
            let _ = house.change(whose(who, contracts), change);
        }
    }
}

fn a_row_that_its_events_do_not_tell_is_found(pairing: Pairing) {
    if pairing != Pairing::SqliteSegments {
        return;
    }
    for (statement, says) in [
        ("UPDATE contract SET state = 'suspended'", "its state"),
        ("UPDATE contract SET profile = 'both'", "its profile"),
        ("UPDATE contract_address SET valid_until = 1", "an address"),
        (
            "UPDATE contract_domain SET domain = 'other.test'",
            "a domain",
        ),
        (
            "UPDATE contract_period SET opened = opened - 1",
            "when it was open",
        ),
        (
            "INSERT INTO contract_certificate SELECT id, zeroblob(32), 1, NULL FROM contract",
            "a client certificate",
        ),
    ] {
        let post = Post::new(pairing);
        post.store.audit().unwrap();
        let database = post.home.dir.path().join("data/knik.db");
        let database = rusqlite::Connection::open(database).unwrap();
        database.execute(statement, []).unwrap();
        let found = post.store.audit().unwrap_err().to_string();
        assert!(
            found.contains(says) && found.contains(&post.contract.id.to_string()),
            "{found}"
        );
    }
}

#[test]
fn networks_of_the_histories_are_what_they_are_called() {
    let networks: Vec<IpNet> = NETWORKS.iter().map(|text| text.parse().unwrap()).collect();
    assert!(networks[0].contains(&networks[1]) && networks[1].contains(&networks[2]));
}
