//! What must hold of the structure of any octets whatever. The fuzz targets include this file and `grammar.rs`.

use mail::Structure;
use mail::structure::{Kind, SectionText};

use super::grammar;

/// Examines, and holds everything that must be so for any octets whatever.
pub fn examine(original: &[u8]) -> Structure {
    let structure = Structure::examine(original);
    assert_eq!(structure.size, original.len() as u64);
    assert_eq!(structure.header.start, 0);
    assert_eq!(structure.header.end, mail::header::end(original) as u64);
    grammar::check_envelope(&structure.envelope);
    grammar::check_body(&structure.body_structure, true);
    grammar::check_body(&structure.body, false);
    nested(&structure);
    numbered(&structure);
    assert_eq!(
        Structure::from_bytes(&structure.to_bytes()).as_ref(),
        Ok(&structure)
    );
    structure
}

/// Every part lies within its parent and after the part before it.
pub fn nested(structure: &Structure) {
    let root = &structure.parts[0];
    assert_eq!(
        (root.parent, &root.mime_header, root.body.end),
        (None, &structure.header, structure.size)
    );
    let mut ends = vec![0; structure.parts.len()];
    for (index, part) in structure.parts.iter().enumerate() {
        assert!(part.mime_header.start <= part.mime_header.end);
        assert!(part.mime_header.end <= part.body.start);
        assert!(part.body.start <= part.body.end);
        let children = structure
            .parts
            .iter()
            .filter(|child| child.parent == Some(index))
            .count();
        match part.kind {
            Kind::Leaf => assert_eq!(children, 0),
            Kind::Multipart => assert!(children > 0),
            Kind::Message => {
                assert_eq!(children, 1);
                assert_eq!(structure.parts[index + 1].parent, Some(index));
                assert_eq!(
                    structure.parts[index + 1].mime_header.start,
                    part.body.start
                );
                assert_eq!(structure.parts[index + 1].body.end, part.body.end);
            }
        }
        if let Some(parent) = part.parent {
            let outer = &structure.parts[parent];
            assert!(parent < index);
            assert!(outer.body.start <= part.mime_header.start && part.body.end <= outer.body.end);
            assert!(
                ends[parent] <= part.mime_header.start,
                "part {index} begins before its sibling ends"
            );
            ends[parent] = part.body.end;
        }
    }
    let mut end = structure.header.end;
    for leaf in structure.leaves() {
        assert!(end <= leaf.start && leaf.end <= structure.size);
        end = leaf.end;
    }
}

/// Every part is found by its number.
pub fn numbered(structure: &Structure) {
    for (index, part) in structure.parts.iter().enumerate() {
        let is_root_of_message = part
            .parent
            .is_none_or(|parent| structure.parts[parent].kind == Kind::Message);
        let mut numbers = part.section.clone();
        if is_root_of_message {
            if part.kind == Kind::Multipart {
                continue;
            }
            numbers.push(1);
        }
        assert_eq!(
            structure.section(&numbers, SectionText::Whole),
            Some(part.body.clone()),
            "{numbers:?}"
        );
        assert_eq!(
            structure.section(&numbers, SectionText::Mime),
            Some(part.mime_header.clone())
        );
        let header = structure.section(&numbers, SectionText::Header);
        let text = structure.section(&numbers, SectionText::Text);
        if part.kind == Kind::Message {
            let (header, text) = (header.unwrap(), text.unwrap());
            assert_eq!(
                (header.start, header.end, text.end),
                (part.body.start, text.start, part.body.end)
            );
            assert_eq!(header, structure.parts[index + 1].mime_header);
        } else {
            assert_eq!((header, text), (None, None));
        }
        numbers.push(0);
        assert_eq!(structure.section(&numbers, SectionText::Whole), None);
    }
}
