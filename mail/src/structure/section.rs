//! IMAP sections to ranges of the original (RFC 9051 §6.4.5, `section-spec` of §9).

use std::ops::Range;

use super::{Kind, Structure};

/// What of a part a section names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SectionText {
    /// The numbers alone: the part's body; without numbers the whole message.
    Whole,
    /// `HEADER`, also for `HEADER.FIELDS` and `HEADER.FIELDS.NOT`: the header of a message.
    Header,
    /// `TEXT`: what follows the header of a message.
    Text,
    /// `MIME`: the header of a part.
    Mime,
}

/// Where the numbers have led.
enum Place {
    /// To a message whose root is the part with this index.
    Message(usize),
    Part(usize),
}

impl Structure {
    /// The octets that `section` names, or `None` if the message has no such section: then NIL is to be answered.
    ///
    /// `HEADER` and `TEXT` with numbers exist for message/rfc822 parts only, `MIME` needs a number.
    pub fn section(&self, numbers: &[u32], text: SectionText) -> Option<Range<u64>> {
        let mut place = Place::Message(0);
        for &number in numbers {
            place = self.step(place, number)?;
        }
        match (place, text) {
            (Place::Message(_), SectionText::Whole) => Some(0..self.size),
            (Place::Message(_), SectionText::Header) => Some(self.header.clone()),
            (Place::Message(_), SectionText::Text) => Some(self.content()),
            (Place::Message(_), SectionText::Mime) => None,
            (Place::Part(index), SectionText::Whole) => Some(self.parts.get(index)?.body.clone()),
            (Place::Part(index), SectionText::Mime) => {
                Some(self.parts.get(index)?.mime_header.clone())
            }
            (Place::Part(index), SectionText::Header | SectionText::Text) => {
                let part = self
                    .parts
                    .get(index)
                    .filter(|part| part.kind == Kind::Message)?;
                let header = self.parts.get(index + 1)?.mime_header.clone();
                Some(if text == SectionText::Header {
                    header
                } else {
                    header.end..part.body.end
                })
            }
        }
    }

    fn step(&self, place: Place, number: u32) -> Option<Place> {
        let index = match place {
            Place::Message(root) => root,
            Place::Part(index) => match self.parts.get(index)?.kind {
                Kind::Leaf => return None,
                Kind::Multipart => return self.child(index, number),
                Kind::Message => index + 1,
            },
        };
        // "Every message has at least one part number": 1 is the body of a message that is no multipart.
        match self.parts.get(index)?.kind {
            Kind::Multipart => self.child(index, number),
            _ => (number == 1).then_some(Place::Part(index)),
        }
    }

    fn child(&self, parent: usize, number: u32) -> Option<Place> {
        let nth = usize::try_from(number).ok()?.checked_sub(1)?;
        let inside = self
            .parts
            .iter()
            .enumerate()
            .skip(parent + 1)
            .take_while(|(_, part)| part.parent >= Some(parent));
        let mut children = inside.filter(|(_, part)| part.parent == Some(parent));
        children.nth(nth).map(|(index, _)| Place::Part(index))
    }
}
