//! The searched text of a message: bounded, folded, and found by index as by scan.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::Structure;
use mail::fold::{Needle, fold};
use mail::searched::searched_text;
use store::search::marks::{Marks, Probe};

fuzz_target!(|octets: &[u8]| {
    let structure = Structure::examine(octets);
    let searched = searched_text(b"Received: here\r\n", octets, &structure);
    assert!(searched.header.len() + searched.body.len() <= octets.len() * 20 + 1024);
    let marks = Marks::of(&searched);
    for piece in searched.header.lines().chain(searched.body.lines()).take(50) {
        assert!(!piece.chars().any(char::is_control));
        // A cut of the piece, at characters, is in the text; so it is however it is asked for.
        let characters: Vec<char> = piece.chars().collect();
        let from = octets.first().map_or(0, |octet| usize::from(*octet)) % (characters.len() + 1);
        let cut: String = characters[from..].iter().take(12).collect();
        // A mark at the cut's beginning belongs to the letter before it, which is not in the cut.
        if fold(&cut) != cut {
            continue;
        }
        let needle = Needle::new(&cut);
        assert!(searched.has(&needle), "{cut:?}");
        assert!(marks.may_have(&Probe::new(&needle)), "{cut:?}");
    }
});
