//! `serve keys`: virtual and admin keys, in the store itself. A guard that runs on the same store
//! knows of a change within seconds; that of another machine's too, where they share one.

use super::{block_on, environment, failure, settings};
use crate::{
    cli::serve::{KeyCreateArgs, KeyImportArgs, KeyListArgs, KeyRevokeArgs, KeysStep, PlaceArgs},
    outcome::{Exit, Failure},
    printer::Printer,
};
use jiff::Timestamp;
use serde::Serialize;
use std::{fmt::Write as _, future::Future};
use stillwatch_guard::{
    Clock as _, SystemClock,
    keys::{Keys, NewAccount, NewKey},
    store::{KeyKind, KeyRow, Store},
};

/// Keys that are read at once.
const PAGE: i64 = 1_000;
/// Accounts that are imported at once, all or none.
const IMPORT_MAX: usize = 2_000_000;

/// Runs one step.
pub(super) fn run(step: &KeysStep, printer: Printer) -> Result<Exit, Failure> {
    match step {
        KeysStep::Create(args) => create(args, printer),
        KeysStep::List(args) => list(args, printer),
        KeysStep::Revoke(args) => revoke(args, printer),
        KeysStep::Import(args) => import(args, printer),
    }
}

/// A key that was just made, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Made<'a> {
    /// The only time that it can be seen.
    key: &'a str,
    #[serde(flatten)]
    row: &'a KeyRow,
}

impl<'a> Made<'a> {
    fn of(new: &'a NewKey) -> Self {
        Self { key: new.secret.expose(), row: &new.row }
    }
}

/// Opens the store, lets `work` do something with the keys, closes it.
fn with_keys<T, F>(
    place: &PlaceArgs,
    printer: Printer,
    work: impl FnOnce(Keys) -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let config = settings(place)?;
    let secrets = environment(&config);
    block_on(async {
        fs_err::create_dir_all(&config.data).map_err(|e| Failure::input("io", e))?;
        let store = Store::open(&config.store, &config.data, &secrets).await;
        let store = store.map_err(|e| failure(&e))?;
        let keys = Keys::open(store.clone(), &secrets).await.map_err(|e| failure(&e))?;
        if let Some(key) = keys.first_admin_key() {
            let key = key.expose();
            printer
                .talk(&format!("admin key  {key}\n           shown this once, as the first one"));
        }
        let done = Box::pin(work(keys)).await;
        store.close().await;
        done
    })
}

fn create(args: &KeyCreateArgs, printer: Printer) -> Result<Exit, Failure> {
    let new = with_keys(&args.place, printer, |keys| async move {
        let now_ms = SystemClock.now_ms();
        if args.admin {
            return keys
                .create_admin_key(&args.account, None, now_ms)
                .await
                .map_err(|e| failure(&e));
        }
        let account =
            NewAccount { name: args.account.clone(), plan: args.plan.clone(), note: String::new() };
        let made = keys.create_account(&account, now_ms).await.map_err(|e| failure(&e))?;
        if !made && let Some(plan) = &args.plan {
            let changed = keys.update_account(&args.account, Some(plan), None, None).await;
            changed.map_err(|e| failure(&e))?;
        }
        let key =
            keys.create_key(&args.account, "", None, now_ms).await.map_err(|e| failure(&e))?;
        key.ok_or_else(|| {
            Failure::input("keys", format!("there is no account {:?}", args.account))
                .hint("it was removed meanwhile; try again")
        })
    })?;
    if printer.is_json() {
        printer.json(&Made::of(&new));
        return Ok(Exit::Clean);
    }
    printer.out(new.secret.expose());
    if args.admin {
        printer.talk("shown this once: it opens the admin address");
    } else {
        printer.talk(&format!(
            "shown this once: the key of account {}. From the first key on, every client needs one",
            args.account
        ));
    }
    Ok(Exit::Clean)
}

fn list(args: &KeyListArgs, printer: Printer) -> Result<Exit, Failure> {
    let rows = with_keys(&args.place, printer, |keys| async move {
        let mut rows: Vec<KeyRow> = Vec::new();
        for kind in [KeyKind::Admin, KeyKind::Virtual] {
            if kind == KeyKind::Admin && args.account.is_some() {
                continue;
            }
            let mut after = String::new();
            loop {
                let account = args.account.as_deref();
                let page = keys.store().list_keys(kind, account, &after, PAGE).await;
                let page = page.map_err(|e| Failure::input("store", e))?;
                let Some(last) = page.last() else { break };
                after.clone_from(&last.id);
                rows.extend(page);
            }
        }
        Ok(rows)
    })?;
    if printer.is_json() {
        printer.json(&rows);
        return Ok(Exit::Clean);
    }
    let mut text = format!("{:<22}{:<16}{:<24}{:<22}state", "id", "key", "account", "made");
    let now_ms = SystemClock.now_ms();
    for row in &rows {
        let made = Timestamp::from_millisecond(row.created_ms).unwrap_or_default();
        let state = match (row.revoked_ms, row.expires_ms) {
            (Some(_), _) => "revoked",
            (None, Some(ends)) if ends <= now_ms => "expired",
            _ => "holds",
        };
        let account = if row.kind == KeyKind::Admin { "(admin)" } else { row.account.as_str() };
        // Writing to a string doesn't fail.
        write!(
            text,
            "\n{:<22}{:<16}{account:<24}{:<22}{state}",
            row.id,
            format!("{}…", row.prefix),
            made.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        )
        .ok();
    }
    printer.out(&text);
    Ok(Exit::Clean)
}

fn revoke(args: &KeyRevokeArgs, printer: Printer) -> Result<Exit, Failure> {
    let revoked = with_keys(&args.place, printer, |keys| async move {
        let now_ms = SystemClock.now_ms();
        for kind in [KeyKind::Virtual, KeyKind::Admin] {
            if keys.revoke_key(kind, &args.id, now_ms).await.map_err(|e| failure(&e))? {
                return Ok(true);
            }
        }
        Ok(false)
    })?;
    if !revoked {
        return Err(Failure::input("keys", format!("no key {:?} that holds", args.id))
            .hint("`stillwatch serve keys list` shows their ids"));
    }
    if printer.is_json() {
        printer.json(&serde_json::json!({ "revoked": args.id }));
    } else {
        printer.out(&format!("revoked {}", args.id));
    }
    Ok(Exit::Clean)
}

fn import(args: &KeyImportArgs, printer: Printer) -> Result<Exit, Failure> {
    let text = fs_err::read_to_string(&args.file)
        .map_err(|e| Failure::input("io", e).file(args.file.display()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut names = std::collections::BTreeSet::new();
    let mut accounts = Vec::new();
    for (line, name) in (1..).zip(text.lines()) {
        let name = name.trim();
        if name.is_empty() {
            continue;
        }
        let wrong = |problem: String| {
            let message = format!("{}:{line}: {problem}", args.file.display());
            Failure::input("keys", message).file(args.file.display()).line(Some(line))
        };
        if !names.insert(name) {
            return Err(wrong(format!("the account {name:?} stands here for the second time")));
        }
        if accounts.len() == IMPORT_MAX {
            return Err(wrong(format!("more than {IMPORT_MAX} accounts; split the file")));
        }
        let plan = args.plan.clone();
        accounts.push(NewAccount { name: name.to_owned(), plan, note: String::new() });
    }
    let made = with_keys(&args.place, printer, |keys| async move {
        keys.import_accounts(&accounts, SystemClock.now_ms()).await.map_err(|e| {
            failure(&e).hint("nothing was imported; are some of the accounts there already?")
        })
    })?;
    if printer.is_json() {
        printer.json(&made.iter().map(Made::of).collect::<Vec<_>>());
        return Ok(Exit::Clean);
    }
    let lines: Vec<String> =
        made.iter().map(|new| format!("{}\t{}", new.row.account, new.secret.expose())).collect();
    printer.out(&lines.join("\n"));
    printer.talk(&format!("{} accounts; their keys are shown this once", made.len()));
    Ok(Exit::Clean)
}
