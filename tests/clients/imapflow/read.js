// Reads a whole mailbox with imapflow: MODULES HOST PORT CA CERTIFICATE KEY USER DIRECTORY.
const fs = require('fs');
const path = require('path');

const [modules, host, port, ca, certificate, key, user, directory] = process.argv.slice(2);
const { ImapFlow } = require(path.join(modules, 'imapflow'));

async function read() {
    const client = new ImapFlow({
        host,
        port: Number(port),
        secure: true,
        logger: false,
        // No way to ask for EXTERNAL: PLAIN or LOGIN with any password.
        auth: { user, pass: 'unused' },
        tls: { ca: fs.readFileSync(ca), cert: fs.readFileSync(certificate), key: fs.readFileSync(key) },
    });
    await client.connect();
    const folders = await client.list();
    if (!folders.some(folder => folder.path === 'INBOX')) throw new Error('no INBOX');
    const lock = await client.getMailboxLock('INBOX');
    const uids = [];
    try {
        for await (const letter of client.fetch('1:*', { uid: true, envelope: true, bodyStructure: true })) {
            uids.push(letter.uid);
        }
        for (const uid of uids) {
            const letter = await client.fetchOne(String(uid), { source: true }, { uid: true });
            fs.writeFileSync(path.join(directory, `${uid}.eml`), letter.source);
        }
        if (!(await client.messageFlagsAdd('1:*', ['\\Seen']))) throw new Error('flags were not added');
    } finally {
        lock.release();
    }
    await client.logout();
    console.log(`${uids.length} letters`);
}

read().catch(error => {
    console.error(error);
    process.exit(1);
});
