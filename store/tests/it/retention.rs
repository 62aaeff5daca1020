use mail::digest::Digest;
use mail::time::Timestamp;
use receipts::event::{EventName, Reason};
use store::amend::Op;
use store::erasure::retention::{Position, Rules};
use store::erasure::{Cause, Scope};
use store::evidence::Query;
use store::refuse::Rejection;
use store::view::Flags;
use store::{EvidenceId, MessageId};

use crate::erasure::{files_with, marked, uids};
use crate::pairing::{Pairing, every_pairing};
use crate::post::{Post, letter, operator};

every_pairing! {
    nothing_ends_unless_a_rule_says_so,
    the_content_of_a_deleted_letter_ends_and_its_evidence_stays,
    the_content_of_old_letters_leaves_the_mailboxes_and_then_the_evidence_goes,
    evidence_of_a_letter_that_lies_in_a_mailbox_is_kept,
    what_is_held_outlives_every_rule,
    evidence_of_rejected_submissions_ends_by_its_own_rule,
}

const DAY_MS: i64 = 86_400_000;

/// Applies rules as they would be applied so many days from now; how many acts of erasure and letters it took.
fn after(post: &Post, days: i64, rules: Rules) -> (u64, u64) {
    let now = Timestamp::from_millis(post.store.now().as_millis() + days * DAY_MS + 1_000);
    let (mut position, mut done) = (Some(Position::START), (0, 0));
    while let Some(at) = position {
        let step = post.store.retain(&rules, now, at).unwrap();
        done = (done.0 + step.erased, done.1 + step.letters);
        position = step.next;
    }
    done
}

fn names(post: &Post, message: MessageId) -> Vec<EventName> {
    let chain = post.chains(message);
    chain.iter().map(|record| record.event.event).collect()
}

/// A letter that its holder has, and one that its holder deleted.
struct Two {
    post: Post,
    account: store::register::Account,
    kept: MessageId,
    deleted: MessageId,
}

fn two(on: Pairing) -> Two {
    let post = Post::new(on);
    let account = post.account("1111111111");
    let deleted = post
        .deposit(&marked("deleted"), &[&account])
        .unwrap()
        .message;
    let kept = post.deposit(&marked("kept"), &[&account]).unwrap().message;
    let inbox = post.inbox(&account);
    let flag = Flags::new(Flags::DELETED, []);
    post.store
        .amend(post.holder(&account), inbox, vec![1], Op::Add, flag)
        .wait()
        .unwrap();
    let gone = post.store.expunge(post.holder(&account), inbox, None);
    assert_eq!(gone.wait().unwrap(), [1]);
    Two {
        post,
        account,
        kept,
        deleted,
    }
}

fn nothing_ends_unless_a_rule_says_so(on: Pairing) {
    let two = two(on);
    assert_eq!(after(&two.post, 100_000, Rules::default()), (0, 0));
    assert_eq!(two.post.store.erasures_due().unwrap(), 0);
    assert_eq!(two.post.store.audit().unwrap().erased_events, 0);
}

fn the_content_of_a_deleted_letter_ends_and_its_evidence_stays(on: Pairing) {
    let Two {
        post,
        account,
        kept,
        deleted,
    } = two(on);
    let rules = Rules {
        deleted_letters_days: Some(30),
        ..Rules::default()
    };
    assert_eq!(after(&post, 29, rules), (0, 0));
    assert_eq!(after(&post, 30, rules), (1, 0));
    assert_eq!(after(&post, 30, rules), (0, 0));
    post.store.destroy_due(10).unwrap();
    let data = post.home.dir.path().join("data");
    assert_eq!(files_with(&data, b"Body-deleted-Marker"), [""; 0]);
    assert_eq!(files_with(&data, b"Subject-deleted-Marker"), [""; 0]);
    assert!(post.store.original(deleted).unwrap().is_none());
    assert!(post.store.original(kept).unwrap().is_some());
    assert_eq!(uids(&post, post.inbox(&account)), [2]);
    assert_eq!(
        names(&post, deleted),
        [
            EventName::SubmissionAccepted,
            EventName::Removed,
            EventName::Deposited,
            EventName::Removed
        ]
    );
    let act = post.store.last_erasure(deleted).unwrap().unwrap();
    assert_eq!(
        (act.cause, act.scope, act.events),
        (Cause::Retention, Scope::Content, 0)
    );
    // The key of law 7 lives as long as the evidence.
    assert!(
        post.deposit(&marked("deleted"), &[&account])
            .unwrap()
            .repeated
    );
    let report = post.store.audit().unwrap();
    assert_eq!((report.erased_messages, report.erased_events), (1, 0));
}

fn the_content_of_old_letters_leaves_the_mailboxes_and_then_the_evidence_goes(on: Pairing) {
    let Two {
        post,
        account,
        kept,
        deleted,
    } = two(on);
    let rules = Rules {
        letters_days: Some(100),
        evidence_days: Some(400),
        ..Rules::default()
    };
    let before = post
        .store
        .snapshot(post.inbox(&account))
        .unwrap()
        .mailbox
        .modseq;
    assert_eq!(after(&post, 99, rules), (0, 0));
    assert_eq!(after(&post, 100, rules), (2, 0));
    let changes = post.store.changes(post.inbox(&account), before).unwrap();
    assert_eq!(changes.vanished, [2]);
    // Where the evidence stays, it says that the last placement went.
    let last = post.chains(kept).pop().unwrap();
    assert_eq!(last.event.event, EventName::Removed);
    assert_eq!(last.event.details["cause"], "retention");
    post.store.audit().unwrap();

    assert_eq!(after(&post, 400, rules), (2, 0));
    assert_eq!(after(&post, 800, rules), (0, 0));
    for message in [kept, deleted] {
        assert_eq!(
            names(&post, message),
            [EventName::Removed, EventName::Removed]
        );
    }
    let report = post.store.audit().unwrap();
    assert_eq!(report.erased_messages, 2);
    post.store.destroy_due(10).unwrap();
    assert_eq!(
        files_with(&post.home.dir.path().join("data"), b"deleted@agency.test"),
        [""; 0]
    );
}

fn evidence_of_a_letter_that_lies_in_a_mailbox_is_kept(on: Pairing) {
    let Two {
        post,
        kept,
        deleted,
        ..
    } = two(on);
    let rules = Rules {
        evidence_days: Some(10),
        ..Rules::default()
    };
    assert_eq!(after(&post, 1_000, rules), (1, 0));
    assert_eq!(names(&post, deleted), [EventName::Removed]);
    assert_eq!(
        names(&post, kept),
        [EventName::SubmissionAccepted, EventName::Deposited]
    );
}

fn what_is_held_outlives_every_rule(on: Pairing) {
    let Two {
        post,
        kept,
        deleted,
        ..
    } = two(on);
    for message in [kept, deleted] {
        post.store
            .hold(operator(), message, "case 5".into())
            .wait()
            .unwrap();
    }
    let rules = Rules {
        deleted_letters_days: Some(1),
        letters_days: Some(1),
        evidence_days: Some(1),
        rejections_days: Some(1),
        receipts_days: Some(1),
    };
    assert_eq!(after(&post, 1_000, rules), (0, 0));
    post.store.lift_holds(kept).wait().unwrap();
    assert_eq!(after(&post, 1_000, rules), (1, 0));
}

fn reject(post: &Post, field: &str) -> EvidenceId {
    let account = post.account("3333333333");
    let octets = letter("rejected", 500);
    let rejection = Rejection {
        contract: post.contract.id,
        actor: operator(),
        envelope: post.submission(&octets, &[&account]).envelope,
        recipients: vec![account.address.clone()],
        refused: Vec::new(),
        content: Some((Digest::of(&octets), 500, Some(field.into()))),
        reason: Reason::RA05,
        reply: "552 5.3.4 too large".into(),
    };
    post.store.refuse(rejection).wait().unwrap()
}

fn evidence_of_rejected_submissions_ends_by_its_own_rule(on: Pairing) {
    let post = Post::new(on);
    let id = reject(&post, "<rejected@agency.test>");
    let rules = Rules {
        rejections_days: Some(7),
        ..Rules::default()
    };
    assert_eq!(after(&post, 6, rules), (0, 0));
    assert_eq!(after(&post, 7, rules), (1, 0));
    assert_eq!(after(&post, 7, rules), (0, 0));
    let entry = post.store.evidence_by_id(id).unwrap().unwrap();
    assert_eq!(entry.event(), EventName::SubmissionRejected);
    assert!(entry.whole().is_none());
    let query = Query {
        message_id_field: Some("<rejected@agency.test>".into()),
        ..Query::default()
    };
    assert!(post.records(&query).is_empty());
    post.store.audit().unwrap();
    post.store.destroy_due(10).unwrap();
    let data = post.home.dir.path().join("data");
    assert_eq!(files_with(&data, b"<rejected@agency.test>"), [""; 0]);
}
