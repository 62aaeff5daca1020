//! A configuration profile (`.mobileconfig`) for Apple's mail programs: the device's certificate with its key, the
//! authority where the server's certificate needs it, and the account.
//!
//! The profile holds the PKCS #12 file as it is, under its password, which is not in the profile: the device asks for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::Digest;

/// What a profile is made of.
#[derive(Debug, Clone, Copy)]
pub struct Profile<'a> {
    /// The operator's name, shown before it is installed.
    pub organisation: &'a str,
    /// The domain of the official addresses; its reverse names the profile.
    pub domain: &'a str,
    /// The holder's address.
    pub address: &'a str,
    /// The mail server's name.
    pub host: &'a str,
    /// The port of IMAP over TLS.
    pub port: u16,
    /// The PKCS #12 file.
    pub pkcs12: &'a [u8],
    /// DER of an authority that the device must trust to believe the server; none where it does already.
    pub authority: Option<&'a [u8]>,
}

impl Profile<'_> {
    /// The profile as a property list.
    pub fn render(&self) -> String {
        let mut payloads = vec![self.identity(), self.account()];
        if let Some(authority) = self.authority {
            payloads.insert(0, self.authority(authority));
        }
        let top = self.payload("Configuration", "profile", self.organisation);
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
             <plist version=\"1.0\">\n<dict>\n{top}{}{}\
             <key>PayloadContent</key>\n<array>\n{}</array>\n</dict>\n</plist>\n",
            text("PayloadOrganization", self.organisation),
            truth("PayloadRemovalDisallowed", false),
            payloads.concat()
        )
    }

    fn authority(&self, der: &[u8]) -> String {
        let common = self.payload("com.apple.security.root", "authority", self.organisation);
        let name = text("PayloadCertificateFileName", "ca.cer");
        format!(
            "<dict>\n{common}{name}{}</dict>\n",
            octets("PayloadContent", der)
        )
    }

    fn identity(&self) -> String {
        let common = self.payload("com.apple.security.pkcs12", "identity", self.address);
        let name = text("PayloadCertificateFileName", "bundle.p12");
        format!(
            "<dict>\n{common}{name}{}</dict>\n",
            octets("PayloadContent", self.pkcs12)
        )
    }

    fn account(&self) -> String {
        let local = self.address.split('@').next().unwrap_or(self.address);
        let common = self.payload("com.apple.mail.managed", "account", self.address);
        let more = [
            text("EmailAccountType", "EmailTypeIMAP"),
            text("EmailAccountDescription", self.organisation),
            text("EmailAddress", self.address),
            text("IncomingMailServerHostName", self.host),
            number("IncomingMailServerPortNumber", self.port),
            truth("IncomingMailServerUseSSL", true),
            // The certificate is the holder; the password is asked for by the program and read by nobody.
            text("IncomingMailServerAuthentication", "EmailAuthPassword"),
            text("IncomingMailServerUsername", local),
            text("IncomingPassword", "certificate"),
            // The format cannot be without one; holders send nothing, and the server takes nothing from them.
            text("OutgoingMailServerAuthentication", "EmailAuthNone"),
            text("OutgoingMailServerHostName", self.host),
        ];
        format!("<dict>\n{common}{}</dict>\n", more.concat())
    }

    /// What every payload begins with.
    fn payload(&self, kind: &str, role: &str, shown: &str) -> String {
        let reversed: Vec<&str> = self.domain.rsplit('.').collect();
        let identifier = format!(
            "{}.knik.{}.{role}",
            reversed.join("."),
            &Digest::of(self.pkcs12).to_string()[..16]
        );
        [
            text("PayloadType", kind),
            text("PayloadIdentifier", &identifier),
            text("PayloadUUID", &self.uuid(role)),
            text("PayloadDisplayName", shown),
            number("PayloadVersion", 1),
        ]
        .concat()
    }

    /// A UUID made of the device's file (RFC 9562 §5.8): the same profile made twice replaces itself, that of another
    /// device does not.
    fn uuid(&self, role: &str) -> String {
        let seed = format!("knik/profile/v1\n{role}\n{}", Digest::of(self.pkcs12));
        let mut octets = [0; 16];
        octets.copy_from_slice(&Digest::of(seed.as_bytes()).as_bytes()[..16]);
        octets[6] = octets[6] & 0x0f | 0x80;
        octets[8] = octets[8] & 0x3f | 0x80;
        let hex: String = octets.iter().map(|octet| format!("{octet:02X}")).collect();
        format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        )
    }
}

fn text(key: &str, value: &str) -> String {
    let escaped = value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    format!("<key>{key}</key>\n<string>{escaped}</string>\n")
}

fn number(key: &str, value: u16) -> String {
    format!("<key>{key}</key>\n<integer>{value}</integer>\n")
}

fn truth(key: &str, value: bool) -> String {
    format!("<key>{key}</key>\n<{value}/>\n")
}

fn octets(key: &str, value: &[u8]) -> String {
    format!(
        "<key>{key}</key>\n<data>{}</data>\n",
        STANDARD.encode(value)
    )
}
