//! `knik demo`: the whole journey of one letter over real sockets, by the program's own commands.
//!
//! | module | what |
//! |---|---|
//! | [`journey`] | the steps |
//! | [`story`] | the numbered account of them |
//! | [`post`] | the post under demonstration: its directory, its commands, its `serve` |
//! | [`letter`] | the letter that is sent |
//! | [`connection`] | a client's socket, plain or TLS |
//! | [`smtp`] | the agency's side |
//! | [`imap`] | the holder's side |
//! | [`stay`] | serving on, and how to connect a mail client |

pub mod connection;
pub mod imap;
pub mod journey;
pub mod letter;
pub mod post;
pub mod smtp;
pub mod stay;
pub mod story;

use std::path::{Path, PathBuf};

use crate::cli::Demo;
use crate::failure::{Failure, Outcome};
use crate::keys::{self, Readers};
use crate::output::Output;
use story::Story;

/// Shows the journey; every step must hold.
///
/// # Errors
/// The step that did not hold, or what could not be done.
pub fn run(demo: &Demo, out: &mut Output) -> Outcome {
    let place = Place::make(demo)?;
    let mut story = Story::new(out);
    let journey = journey::run(&place.dir, &mut story).map_err(|failure| story.broken(&failure))?;
    if demo.stay {
        return stay::run(journey, &mut story);
    }
    journey.close(&mut story)?;
    story.end(place.kept.then_some(place.dir.as_path()))
}

/// Where it happens. A temporary directory is removed at the end, also after a failure.
struct Place {
    dir: PathBuf,
    kept: bool,
}

impl Place {
    fn make(demo: &Demo) -> Outcome<Self> {
        if let Some(dir) = &demo.dir {
            refuse_content(dir)?;
            keys::make_folder(dir, Readers::Owner)?;
            let dir = dir.canonicalize().map_err(|e| Failure::file(dir, &e))?;
            return Ok(Self { dir, kept: true });
        }
        let dir = std::env::temp_dir().join(format!("knik-demo-{}", std::process::id()));
        refuse_content(&dir)?;
        keys::make_folder(&dir, Readers::Owner)?;
        Ok(Self { dir, kept: false })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = std::fs::remove_dir_all(&self.dir)
        {
            eprintln!(
                "knik: {}: could not be removed: {error}",
                self.dir.display()
            );
        }
    }
}

fn refuse_content(dir: &Path) -> Outcome {
    let mut entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::file(dir, &error)),
    };
    match entries.next() {
        Some(_) => Err(Failure::could_not(format!(
            "{}: is not empty; the demonstration wants a directory of its own",
            dir.display()
        ))),
        None => Ok(()),
    }
}
