//! Every fault names its file, line and key; what is absent has its default.

use super::*;

fn fault(text: &str) -> String {
    parse(Path::new("etc/knik.toml"), text).unwrap_err()
}

#[test]
fn every_fault_names_file_line_and_key() {
    let table: &[(&str, &str)] = &[
        ("", "etc/knik.toml:1: domain: is missing"),
        ("domain = ''", "etc/knik.toml:1: domain: is empty"),
        ("domain = 'a b'", "etc/knik.toml:1: domain: "),
        ("\ndomain = 7", "etc/knik.toml:2: invalid type: integer"),
        ("domain = 'a.test'\n[listen\n", "etc/knik.toml:2: "),
        (
            "domain = 'a.test'\nhostnaem = 'x'\n",
            "etc/knik.toml:2: unknown field `hostnaem`",
        ),
        (
            "domain = 'a.test'\n[listen]\nsmpt = ''\n",
            "etc/knik.toml:3: unknown field `smpt`",
        ),
        (
            "domain = 'a.test'\n[listne]\n",
            "etc/knik.toml:2: unknown field `listne`",
        ),
        (
            "domain = 'a.test'\n[listen]\nsmtp = '127.0.0.1'\n",
            "etc/knik.toml:3: listen.smtp: \"127.0.0.1\" is not",
        ),
        (
            "domain = 'a.test'\n[listen]\nbalancers = ['::1', 'lb1']\n",
            "etc/knik.toml:3: listen.balancers: \"lb1\" is not an address",
        ),
        (
            "domain = 'a.test'\n[listen]\nbalancers = ['::/0']\n",
            "etc/knik.toml:3: listen.balancers: \"::/0\" is everybody",
        ),
        (
            "domain = 'a.test'\n[imap]\nappend = true\n",
            "etc/knik.toml:3: imap.append: true is not available",
        ),
        (
            "domain = 'a.test'\n[store]\nengine = 'postgres'\n",
            "etc/knik.toml:3: store.engine: \"postgres\" needs store.connection or",
        ),
        (
            "domain = 'a.test'\n[store]\nengine = 'mysql'\n",
            "etc/knik.toml:3: store.engine: \"mysql\" is neither \"sqlite\" nor",
        ),
        (
            "domain = 'a.test'\n[content]\nkind = 's3'\n",
            "etc/knik.toml:3: content.endpoint: is empty, and content.kind is",
        ),
        (
            "domain = 'a.test'\n[log]\nmerge_delay = '1'\n",
            "etc/knik.toml:3: log.merge_delay: \"1\" is no duration",
        ),
        (
            "domain = 'a.test'\n[log]\nmerge_delay = '1ms'\n",
            "etc/knik.toml:3: log.merge_delay: must be 100ms to 1h",
        ),
        (
            "domain = 'a.test'\n[signer]\nusers = ['knik', '']\n",
            "etc/knik.toml:3: signer.users: is empty",
        ),
        (
            "domain = 'a.test'\n[timestamp]\ninterval = 'x'\n",
            "etc/knik.toml:3: timestamp.interval: ",
        ),
        (
            "domain = 'a.test'\n[timestamp]\nurls = ['ftp://x']\n",
            "etc/knik.toml:3: timestamp.urls: \"ftp://x\"",
        ),
        (
            "domain = 'a.test'\n[timestamp]\ninterval = '25h'\n",
            "etc/knik.toml:3: timestamp.interval: must be 1s to 24h",
        ),
        (
            "domain = 'a.test'\n[timestamp]\nurls = ['http://x']\nanchors = ''\n",
            "etc/knik.toml:4: timestamp.anchors: is empty",
        ),
        (
            "domain = 'a.test'\n[timestamp]\nurls = ['http://x']\n",
            "etc/knik.toml:3: timestamp.anchors: is empty",
        ),
        (
            "domain = 'a.test'\n[relay]\nsmarthost = 'mail'\n",
            "etc/knik.toml:3: relay.smarthost: \"mail\" has no port",
        ),
        (
            "domain = 'a.test'\n[notices]\nfirst = 'first-0'\n",
            "etc/knik.toml:3: notices.first: \"first-0\" is no notice; there are: first-1",
        ),
        (
            "domain = 'a.test'\n[dns]\nservers = ['::1', 'ns1']\n",
            "etc/knik.toml:3: dns.servers: \"ns1\" is no address, such as 192.0.2.53 or [2001:db8::53]:53",
        ),
        (
            "domain = 'a.test'\n[limits]\nrecipients_max = 0\n",
            "etc/knik.toml:3: limits.recipients_max: must be a number above 0",
        ),
    ];
    faults_are(table);
}

#[test]
fn faults_of_trust_are_named_alike() {
    let trust = "domain = 'a.test'\n[[trust]]\nname = 'x'\nanchors = 'x.pem'\n";
    let table: &[(&str, &str)] = &[
        (trust, "etc/knik.toml:2: trust.map: is missing"),
        (
            &format!("{trust}map = []"),
            "etc/knik.toml:5: trust.map: is empty",
        ),
        (
            &format!("{trust}map = ['cn']"),
            "etc/knik.toml:5: trust.map: \"cn\" is no mapping rule",
        ),
        (
            &format!("{trust}map = ['enrolment']\nrevocation = 'never'"),
            "etc/knik.toml:6: trust.revocation: \"never\"",
        ),
        (
            &format!("{trust}map = ['enrolment']\nocsp = 'https://o'"),
            "etc/knik.toml:6: trust.ocsp: \"https://o\" does not begin with http://",
        ),
        (
            &format!("{trust}map = ['enrolment']\ncrl = ['a.crl', 'https://o']"),
            "etc/knik.toml:6: trust.crl: \"https://o\" does not begin with http://",
        ),
        (
            "domain = 'a.test'\n[revocation]\ncrl_interval = '25h'\n",
            "etc/knik.toml:3: revocation.crl_interval: must be 1s to 24h",
        ),
        (
            "domain = 'a.test'\n[revocation]\nprivate_hosts = ['http://x']\n",
            "etc/knik.toml:3: revocation.private_hosts: \"http://x\" is no",
        ),
        (
            &format!(
                "{trust}map = ['enrolment']\n[[trust]]\nname = 'x'\nanchors = 'y'\nmap = ['enrolment']"
            ),
            "etc/knik.toml:7: trust.name: there are two \"x\"",
        ),
    ];
    faults_are(table);
}

#[test]
fn faults_of_the_authority_are_named_too() {
    faults_are(&[
        (
            "domain = 'a.test'\n[authority]\nbase_url = 'https://a.test'\n",
            "etc/knik.toml:3: authority.base_url: \"https://a.test\" is no http URL",
        ),
        (
            "domain = 'a.test'\n[authority]\nlink_url = 'http://a.test'\n",
            "etc/knik.toml:3: authority.link_url: \"http://a.test\" is no https URL",
        ),
        (
            "domain = 'a.test'\n[authority]\ncrl_lifetime = '1s'\n",
            "etc/knik.toml:3: authority.crl_lifetime: must be 1m to 2160h",
        ),
        (
            "domain = 'a.test'\n[authority]\nocsp_lifetime = '100h'\n",
            "etc/knik.toml:3: authority.ocsp_lifetime: must be 1m to 72h",
        ),
    ]);
}

fn faults_are(table: &[(&str, &str)]) {
    for (text, expected) in table {
        let fault = fault(text);
        assert!(
            fault.starts_with(expected),
            "{text:?}\n gave {fault}\n want {expected}"
        );
        assert!(!fault.contains('\n'), "{fault}");
    }
}

#[test]
fn what_is_absent_has_its_default_beside_the_file() {
    let config = parse(Path::new("/srv/post/knik.toml"), "domain = 'a.test'").unwrap();
    assert_eq!(config.hostname, "mx.a.test");
    assert_eq!(config.listen.imap, Some("127.0.0.1:1143".parse().unwrap()));
    assert_eq!(config.listen.imaps_preauth, None);
    assert_eq!(config.tls.key, Path::new("/srv/post/pki/server.key"));
    assert_eq!(config.log.state, Path::new("/srv/post/keys/log.state"));
    assert_eq!(config.log.merge_delay, Duration::from_secs(1));
    assert_eq!(config.data, Path::new("/srv/post/data"));
    assert!(config.trust.is_empty());
    let elsewhere = "domain = 'a.test'\n[tls]\nkey = '/etc/ssl/x.key'\n[listen]\nsmtp = ''\n";
    let config = parse(Path::new("knik.toml"), elsewhere).unwrap();
    assert_eq!(config.tls.key, Path::new("/etc/ssl/x.key"));
    assert_eq!(config.tls.certificate, Path::new("pki/server.pem"));
    assert_eq!(config.listen.smtp, None);
}

#[test]
fn durations() {
    for (text, millis) in [
        ("500ms", Some(500)),
        ("1s", Some(1000)),
        ("10m", Some(600_000)),
        ("2h", Some(7_200_000)),
        ("", None),
        ("s", None),
        ("1", None),
        ("1 s", None),
        ("-1s", None),
        ("99999999999999999999h", None),
    ] {
        assert_eq!(duration(text), millis.map(Duration::from_millis), "{text}");
    }
}
