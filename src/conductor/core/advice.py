"""What to tell a person about failures that are no vendor's: the network, this host, the stores.

`{name}` is filled in from the error's facts. A connector brings the texts of its own codes.
"""

from __future__ import annotations

from collections.abc import Mapping

from conductor.core.connector import Advice

_NETWORK = {
    "net.dns.notfound": Advice(
        "The name {domain} could not be found.",
        "Either the domain is misspelt or this server's DNS cannot resolve outside names. Trying again at {time}.",
        ("Check the spelling of {domain}.", "On the server run `conductor doctor dns {domain}`."),
        "name not found",
    ),
    "net.dns.timeout": Advice(
        "DNS did not answer.",
        "There was no reply in 5 s. This is usually a network fault here, not at the vendor. Collection resumes "
        "by itself. No events are lost until {loss_time}.",
        ("Check this server's DNS.",),
        "DNS silent",
    ),
    "net.connect.blocked": Advice(
        "{domain} cannot be reached on port {port}.",
        "A firewall probably blocks it. Allow outbound TCP {port} from this server to {domain}, or set a proxy under "
        "Advanced. Tried {list}.",
        ("Allow outbound TCP {port} to {domain}.", "Or set a proxy under Advanced."),
        "cannot connect",
    ),
    "net.broken": Advice(
        "The connection to {domain} broke.",
        "Nothing was lost: the page is read again. Trying again by itself.",
        short="connection broke",
    ),
    "net.timeout": Advice(
        "{domain} took too long to answer.",
        "Nothing was lost: the page is read again. Trying again by itself.",
        short="too slow",
    ),
    "net.redirect": Advice(
        "{domain} sends us to another address.",
        "Redirects are not followed, so that a token never goes astray. Check the domain.",
        ("Check the domain.",),
        "redirect refused",
    ),
    "net.url.invalid": Advice(
        "{domain} cannot be used in an address.", "Check the domain.", ("Check the domain.",), "bad domain"
    ),
    "net.address.private": Advice(
        "{domain} points to a private address ({ip}).",
        "We do not send secrets there. If this is a test server, start with `--allow-private-targets {ip}/32`.",
        ("If this is a test server, start with `--allow-private-targets {ip}/32`.",),
        "private address",
    ),
    "net.address.odd": Advice(
        "{domain} is an unusual way to write an address.",
        "Write the name of the host as the vendor shows it.",
        ("Write the name of the host as the vendor shows it.",),
        "odd address",
    ),
    "net.port.refused": Advice(
        "Port {port} of {domain} is not used.",
        "Vendors and webhooks are spoken to on port 443 only, mail servers on 25, 465, 587 and 2525. If this is a test "
        "server, start with `--allow-private-targets {ip}/32`.",
        ("Leave the port out.",),
        "port refused",
    ),
    "net.proxy.unreachable": Advice(
        "The proxy {proxy} does not answer.",
        "Check address and port. It comes from this integration's form or from CONDUCTOR_PROXY.",
        ("Check the proxy's address and port.",),
        "proxy silent",
    ),
    "net.proxy.auth": Advice(
        "The proxy {proxy} wants a user name and password.",
        "Add them under Advanced → Proxy. They are stored encrypted like the secret.",
        ("Add the user name and password under Advanced → Proxy.",),
        "proxy password",
    ),
    "net.proxy.denied": Advice(
        "The proxy {proxy} refused to connect to {domain}.",
        'Ask its administrator to allow {domain}:443. Proxy said: "{reason}".',
        ("Ask the proxy's administrator to allow {domain}:443.",),
        "proxy refused",
    ),
    "net.proxy.password": Advice(
        "The proxy's password has a field of its own.",
        "In the address it would be shown to everybody who may see the settings.",
        ("Enter the password under Advanced → Proxy password.",),
        "proxy password",
    ),
    "net.proxy.address": Advice(
        "This is not a proxy's address.",
        "It looks like http://proxy.example.com:3128.",
        ("Begin it with http:// or https://.",),
        "bad proxy",
    ),
    "net.captive": Advice(
        "Something between us and the vendor answered instead of the vendor.",
        'We received a web page titled "{title}", probably a proxy or sign-in page. Check the proxy settings.',
        ("Check the proxy settings.",),
        "wrong answer",
    ),
    "net.tls.untrusted": Advice(
        "The certificate of {domain} is not trusted.",
        'It was issued by "{issuer}", which this server does not know. Your company probably inspects TLS traffic. '
        "Add its root certificate under Advanced → CA bundle (PEM). Do not continue if you do not recognise "
        '"{issuer}".',
        ("Add your company's root certificate under Advanced → CA bundle (PEM).",),
        "TLS not trusted",
    ),
    "net.tls.name": Advice(
        "The certificate is for {names}, not {domain}.",
        "Check the domain. For a custom domain, its certificate may not be ready at the vendor.",
        ("Check the domain.",),
        "wrong certificate",
    ),
    "net.tls.expired": Advice(
        "The certificate of {domain} expired on {date}.",
        "If the date looks wrong, check this server's clock: it says {now}.",
        ("Check this server's clock.",),
        "certificate expired",
    ),
    "net.tls.failed": Advice(
        "No secure connection to {domain} could be made.",
        "TLS 1.2 or newer is needed. The library said: {reason}.",
        ("Check that {domain} speaks TLS on this port.",),
        "TLS failed",
    ),
    "net.tls.bundle": Advice(
        "The CA bundle is not a certificate in PEM.",
        "It begins with `-----BEGIN CERTIFICATE-----`.",
        ("Paste the certificate in PEM.",),
        "bad CA bundle",
    ),
}

_ANSWERS = {
    "source.too_large": Advice(
        "An answer was larger than we accept.",
        "It was not read beyond {limit} bytes. The position is unchanged; we try again. If what the vendor sends is "
        "right, allow more with CONDUCTOR_MAX_ANSWER_MIB.",
        ("If what the vendor sends is right, allow more with CONDUCTOR_MAX_ANSWER_MIB.",),
        short="answer too large",
    ),
    "source.stalled": Advice(
        "The vendor serves the same events again and again.",
        "{n} polls in a row were answered with nothing but events from before our position. A proxy may keep old "
        "answers; or the vendor no longer takes our position. Nothing is skipped.",
        ("Check that no proxy keeps answers.", "Run Test connection."),
        "no progress",
    ),
    "record.too_large": Advice(
        "One event was larger than we take.",
        "It is left out and its place is marked; everything after it is collected. The log has its id, size and "
        "checksum. To read it, allow larger answers with CONDUCTOR_MAX_ANSWER_MIB and collect its time again.",
        ("Allow larger answers with CONDUCTOR_MAX_ANSWER_MIB and collect its time again.",),
        "event left out",
    ),
    "source.truncated": Advice(
        "An answer ended in the middle.", "The position is unchanged; we try again.", short="answer cut short"
    ),
    "source.encoding": Advice(
        "An answer was encoded in a way we did not ask for.",
        "It was not read. The position is unchanged; we try again. A proxy may have changed it.",
        ("Check the proxy settings.",),
        "bad encoding",
    ),
    "source.token_shape": Advice(
        "The sign-in succeeded, but brought no token.",
        "The answer is not what the vendor documents. A proxy may have changed it.",
        ("Check the proxy settings.",),
        "no token",
    ),
    "poller.crashed": Advice(
        "Collecting stopped because of a fault in Conductor.",
        "The position is saved and the poller is started again by itself. The log has the details; please report them.",
        ("Look in the log for the details and report them.",),
        "internal fault",
    ),
}

_HERE = {
    "host.clock.skew": Advice(
        "This server's clock is {skew}.",
        "The vendor says {remote}, we say {local}. Tokens can be rejected and event times compared wrongly. Turn on "
        "time sync: `timedatectl set-ntp true`. Collection continues while tokens are accepted.",
        ("Turn on time sync: `timedatectl set-ntp true`.",),
        "clock wrong",
    ),
    "local.secret.unreadable": Advice(
        "The saved secret cannot be decrypted.",
        "The key file {path} changed or was not restored with the backup. Restore it, or enter the secret again.",
        ("Restore the key file {path}.", "Or enter the secret again."),
        "secret unreadable",
    ),
    "local.storage.full": Advice(
        "Collection is paused: the disk is full.",
        "The position is saved; events stay at the vendor until {loss_time}. Free space or shorten retention.",
        ("Free space.", "Or shorten retention with `--retention-days`."),
        "disk full",
    ),
    "local.storage.locked": Advice(
        "Another program holds the database.",
        "Collection is paused and goes on by itself when the other program lets go; nothing was lost.",
        ("End the program that has conductor.db open, a backup or an editor perhaps.",),
        "database locked",
    ),
    "local.storage.away": Advice(
        "The database does not answer.",
        "Collection is paused and goes on by itself when the database is back; positions are saved, and events stay "
        "at the vendor meanwhile. Whether the last change was saved is not known.",
        ("Check that the database server runs and that this host reaches it.",),
        "database away",
    ),
    "local.analytics.away": Advice(
        "Search is not available.",
        "{reason} Collecting goes on; what is collected meanwhile is indexed when the server can be used again.",
        ("Run `conductor doctor search` on this host; it tells what the server lacks.",),
        "search away",
    ),
    "store.held": Advice(
        "Another worker polls this integration at the moment.",
        "Nothing was changed.",
        ("Try again in a moment.",),
    ),
    "local.storage.corrupt": Advice(
        "The database is damaged: {what}.",
        "Nothing was changed. What came after a backup is fetched again, as long as the vendor still has it.",
        (
            "See what is damaged: conductor db check",
            "Restore a backup: conductor db restore FILE",
            "Without a backup, export what can be read: conductor db salvage FILE",
        ),
        "database damaged",
    ),
    "local.backup.key": Advice(
        "A backup does not belong beside the master key.",
        "{directory} holds the master key. Whoever gets both can read the saved secrets.",
        ("Choose another directory for the backup.",),
    ),
    "local.datadir.busy": Advice(
        "Another Conductor uses {path} (process {pid}).",
        "Stop it or choose another `--data`.",
        ("Stop it or choose another `--data`.",),
    ),
    "local.key.wrong": Advice(
        "The key file {path} does not belong to this data.",
        "Expected key {id}. Restore it from your backup.",
        ("Restore the key file from your backup.",),
    ),
}

_COMPLETENESS = {
    "checkpoint.expired": Advice(
        "The vendor had deleted events before they were collected.",
        "Conductor could not collect for longer than the vendor keeps its log, or the vendor no longer knew our "
        "position. We go on from the oldest event that still exists, and read again what the vendor has of the span.",
        ("Find out why collecting stopped: see the polls of that time.",),
        "events missed",
    ),
    "gap.open": Advice(
        "Some events were not collected yet.",
        "The span is read again by itself, behind live collection. What the vendor still has is collected; what it "
        "has deleted is told as lost.",
        short="gap",
    ),
    "gap.lost": Advice(
        "Some events are gone.",
        "The vendor no longer has them, or cannot show that there were none. The gap stays in every search and export "
        "that touches it. Other copies, such as a log stream, may still have them.",
        ("Look at the gap.", "Close it with a note when you know what it means."),
        "events lost",
    ),
    "gap.recovered": Advice(
        "Gap closed.",
        "What the vendor still had of the span was collected late. It is searchable, and no longer told as missing.",
        short="gap closed",
    ),
    "duplicate.tenant": Advice(
        "{name} and {other} both read {domain}.",
        "They share one rate limit. Events are stored once per integration. Remove one unless you do this on purpose.",
        ("Remove one unless you do this on purpose.",),
        "read twice",
    ),
    "data.none.new": Advice(
        "Connected. {vendor} has no events yet.",
        "Our own sign-in should appear within a few minutes. Or sign in to any application of this tenant; the event "
        "appears here within about {wait}. {vendor} says that events may arrive with some delay.",
        ("Wait some minutes, or choose Poll now.",),
        "no events yet",
    ),
    "data.none.silent": Advice(
        "No events for {duration}, the usual pause here is under {typical}.",
        "We are connected and caught up. Either nobody used the tenant, or its logs stopped.",
        ("Look at the log in {vendor}'s own dashboard.",),
    ),
    "rate.insufficient": Advice(
        "Events come faster than {vendor} lets anyone read them.",
        "{rate} events/min need at least {n} requests/min of {limit}. Ask {vendor} for a higher limit.",
        ("Ask {vendor} for a higher limit.",),
        "limit too low",
    ),
    "rate.share": Advice(
        "Events come faster than our share of the rate limit lets us read them.",
        "{rate} events/min need at least {n} requests/min. Our share is {share} % of {limit}.",
        ("Raise the share of the rate limit to {wanted} % at least, under Advanced.",),
        "share too small",
    ),
    "events.late": Advice(
        "Some events became visible later than the overlap waits.",
        "An audit, which reads every span a second and a third time, has found and collected them. The metric "
        "`conductor_lateness_seconds` tells how late they were.",
        ("Make the overlap longer in the integration's settings, under Advanced.",),
        "late events",
    ),
    "backfill.outrun": Advice(
        "The vendor deleted events faster than a backfill read them.",
        "They were the oldest of the log when the backfill reached them.",
        ("Raise the share of the rate limit before the next backfill.",),
        "backfill too slow",
    ),
}

_CHANNELS = {
    "channel.refused": Advice(
        "{domain} refused the message (HTTP {status}).",
        'It said: "{said}". The webhook may have been removed or turned off there.',
        ("Make a new webhook there, and enter its address here.",),
    ),
    "channel.server": Advice(
        "{domain} has a problem (HTTP {status}).", "The message is sent again, some minutes later each time."
    ),
    "channel.rate.limited": Advice(
        "{domain} asked us to slow down.", "The message is sent again, some minutes later each time."
    ),
    "channel.crashed": Advice(
        "The message failed because of a fault in Conductor.",
        "The log has the details; please report them.",
        ("Look in the log for the details and report them.",),
    ),
    "channel.changed": Advice("The channel was changed.", "What still needs somebody is told there anew."),
    "channel.off": Advice("The channel was switched off or removed.", "It is told nothing any more."),
    "alarm.over": Advice(
        "It was over before it was told.",
        "The channel had been told the same shortly before, or could not be reached. Meanwhile all was well again.",
    ),
    "mail.login": Advice(
        "{domain} did not accept the user name and password.",
        'It said: "{said}".',
        ("Enter both again, as your mail provider tells them. Many want a password made for programs.",),
    ),
    "mail.recipient": Advice(
        "{domain} does not take mail for a recipient.",
        'It said: "{said}".',
        ("Check the addresses under To.", "Some servers take mail for strangers only from those who sign in."),
    ),
    "mail.sender": Advice(
        "{domain} does not let us use the sender's address.",
        'It said: "{said}".',
        ("Enter an address under From that this user may use.",),
    ),
    "mail.refused": Advice("{domain} did not take the mail.", 'It said: "{said}".', ("Ask who runs the server.",)),
    "mail.unsupported": Advice(
        "{domain} does not offer what was asked of it.",
        "The library said: {reason}.",
        ("Choose another encryption: STARTTLS is for port 587, TLS for port 465.",),
    ),
}

ADVICE: Mapping[str, Advice] = {**_CHANNELS, **_NETWORK, **_ANSWERS, **_HERE, **_COMPLETENESS}
