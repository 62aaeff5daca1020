//! Serving on after the journey, so that a mail client can be tried.

use std::time::Duration;

use super::journey::{AGENCY, CITIZEN, Journey, official};
use super::story::Story;
use crate::failure::{Failure, Outcome};

/// How often it is looked whether `serve` still runs.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Says how to connect, and serves until it is interrupted.
///
/// # Errors
/// When `serve` ends by itself, or the closing steps do not hold.
pub fn run(mut journey: Journey, story: &mut Story<'_>) -> Outcome {
    story.step("The post stays open; Ctrl-C closes it")?;
    story.lines(&instructions(&journey))?;
    wait(&mut journey)?;
    journey.close(story)?;
    story.end(None)
}

fn instructions(journey: &Journey) -> String {
    let dir = journey
        .post
        .dir
        .with_file_name("device")
        .display()
        .to_string();
    let (smtp, imap, imaps) = (
        journey.addresses.smtp,
        journey.addresses.imap.port(),
        journey.addresses.imaps.port(),
    );
    let (citizen, password) = (official(CITIZEN), &journey.password);
    format!(
        "Thunderbird  Settings, Privacy & Security, Certificates: import {dir}/ca.pem as an authority for
             web sites, and {dir}/bundle.p12 (password {password}) as yours. Then an account
             {citizen}: IMAP, server localhost, port {imaps}, SSL/TLS, authentication
             \"TLS Certificate\", user name {CITIZEN}; any outgoing server: holders cannot send.
mutt         cat {dir}/cert.pem {dir}/key.pem > {dir}/both.pem
             mutt -e 'set ssl_client_cert=\"{dir}/both.pem\"' -e 'set imap_authenticators=external' \\
                  -e 'set certificate_file=\"{dir}/ca.pem\"' -f imaps://{CITIZEN}@localhost:{imaps}/INBOX
curl         curl --cacert {dir}/ca.pem --cert {dir}/cert.pem --key {dir}/key.pem -u {CITIZEN}:x \\
                  'imaps://localhost:{imaps}/INBOX;UID=1'
by hand      openssl s_client -quiet -crlf -CAfile {dir}/ca.pem -cert {dir}/cert.pem -key {dir}/key.pem \\
                  -connect localhost:{imaps}      (STARTTLS: -starttls imap -connect localhost:{imap})
             a AUTHENTICATE EXTERNAL =
             b SELECT INBOX
to send      swaks --server {smtp} --local-interface {AGENCY} --from notice@tax.example --to {citizen}
as operator  export KNIK_CONFIG={}/knik.toml; knik evidence list",
        journey.post.dir.display()
    )
}

/// Ctrl-C reaches `serve` too when it is pressed at a terminal; SIGTERM reaches this process alone. Both end well.
fn wait(journey: &mut Journey) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|e| Failure::doing("waiting", &e))?;
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).map_err(|e| Failure::doing("waiting for signals", &e))?;
        loop {
            tokio::select! {
                interrupted = tokio::signal::ctrl_c() => {
                    return interrupted.map_err(|e| Failure::doing("waiting for Ctrl-C", &e));
                }
                _ = terminate.recv() => return Ok(()),
                () = tokio::time::sleep(LOOK_EVERY) => {
                    if !journey.post.is_open() {
                        return Err(Failure::is_false("serve ended by itself; its log is serve.log in the post's directory"));
                    }
                }
            }
        }
    })
}
