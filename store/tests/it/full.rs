//! A disk that is really full: a small file system of its own, which only root may mount.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use receipts::actor::{Actor, ActorKind};
use receipts::event::EventName;
use store::reading::{Acknowledged, Wanted};
use store::reserve::{RESERVE_BYTES, ROOM_BYTES_MIN};
use store::{Options, Store, StoreError};

use crate::pairing::{Home, Pairing};
use crate::post::{Post, letter};

/// A mounted tmpfs, unmounted when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount(size_bytes: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={size_bytes}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(dir.path())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then(|| Self(dir))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Fills the disk until at most `left` octets are free.
fn fill(dir: &Path, left: u64) {
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(dir.join("filling"))
        .unwrap();
    let block = vec![7; 1 << 16];
    loop {
        let disk = nix::sys::statvfs::statvfs(dir).unwrap();
        let free = disk.blocks_available() * disk.fragment_size();
        if free <= left
            || file
                .write_all(&block[..block.len().min((free - left) as usize)])
                .is_err()
        {
            return;
        }
    }
}

#[test]
fn a_full_disk_takes_no_letter_and_reading_goes_on() {
    let Some(disk) = Disk::mount(128 << 20) else {
        eprintln!("skipped: mounting a small file system needs root");
        return;
    };
    let home = Home::new(Pairing::SqliteSegments);
    // Only its store is on the small disk.
    let store = Store::open(Options {
        dir: disk.0.path().join("data"),
        ..home.options()
    });
    let post = Post::over(home, store.unwrap());
    let account = post.account("1111111111");
    let reserve = disk.0.path().join("data/reserve");
    assert_eq!(fs::metadata(&reserve).unwrap().len(), RESERVE_BYTES);
    let octets = letter("read", 1_000);
    post.deposit(&octets, &[&account]).unwrap();

    fill(disk.0.path(), ROOM_BYTES_MIN / 2);
    assert!(matches!(post.store.stage(), Err(StoreError::Full)));
    fill(disk.0.path(), 0);
    let mut by = Actor::new(ActorKind::Holder);
    by.account = Some(account.address.to_string());
    post.store
        .log_in(by.clone(), account.id, Default::default())
        .wait()
        .unwrap();
    assert!(
        !reserve.exists(),
        "nothing was left, so the reserve is given up"
    );
    let wanted = Wanted {
        uid: 1,
        seen: true,
        sections: "BODY[]".into(),
    };
    let disclosure = post
        .store
        .disclose(&by, post.inbox(&account), vec![wanted])
        .unwrap()
        .remove(0);
    assert_eq!(&*disclosure.octets().unwrap(), &octets[..]);
    let covered = std::iter::once(0..octets.len() as u64).collect();
    let acknowledged = Acknowledged {
        disclosure,
        covered,
        header: true,
    };
    post.store
        .handed_over(by.clone(), vec![acknowledged])
        .wait()
        .unwrap();
    assert!(post.events(&account).contains(&EventName::HandedOver));
    assert!(matches!(post.store.stage(), Err(StoreError::Full)));

    fs::remove_file(disk.0.path().join("filling")).unwrap();
    post.store
        .log_in(by, account.id, Default::default())
        .wait()
        .unwrap();
    post.deposit(&letter("healed", 1_000), &[&account]).unwrap();
    assert_eq!(fs::metadata(&reserve).unwrap().len(), RESERVE_BYTES);
    post.store.audit().unwrap();
    post.store.close();
}
