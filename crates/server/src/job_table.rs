//! What the database knows about jobs.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};
use serde::{Deserialize, Serialize};

use crate::api_error::ErrorBody;
use crate::clock;
use crate::job::{Job, JobState, Source};
use crate::worker::known_code;

/// Finished jobs that are kept.
const KEPT: i64 = 10_000;

/// A waiting job and its number in the order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Waiting {
    pub(crate) job: Job,
    pub(crate) place: i64,
}

/// An [`ErrorBody`] as it stands in the database.
#[derive(Serialize, Deserialize)]
struct StoredError {
    code: String,
    message: String,
    hint: Option<String>,
}

/// The number in a job's id.
pub(crate) fn number(id: &str) -> Option<i64> {
    let digits = id.strip_prefix('j')?;
    // One spelling for each number.
    if digits.starts_with('0') || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

const COLUMNS: &str =
    "number, batch, source, state, step, steps, settings, picture, error, created, finished, place, remarks";

/// One row; settings that this version cannot read make a failed job of it.
fn waiting(row: &Row<'_>) -> rusqlite::Result<Waiting> {
    let seconds = |value: i64| clock::iso(u64::try_from(value).unwrap_or(0));
    let number: i64 = row.get(0)?;
    let source: String = row.get(2)?;
    let state: String = row.get(3)?;
    let settings: String = row.get(6)?;
    let error: Option<String> = row.get(8)?;
    let error = error.and_then(|json| serde_json::from_str::<StoredError>(&json).ok());
    let finished: Option<i64> = row.get(10)?;
    let remarks: Option<String> = row.get(12)?;
    let mut job = Job {
        id: format!("j{number}"),
        batch: row.get(1)?,
        source: Source::named(&source).unwrap_or(Source::Page),
        state: JobState::named(&state).unwrap_or(JobState::Failed),
        step: row.get(4)?,
        steps: row.get(5)?,
        picture: row.get(7)?,
        error: error.map(|StoredError { code, message, hint }| ErrorBody { code: known_code(&code), message, hint }),
        remarks: remarks.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default(),
        position: 0,
        created: seconds(row.get(9)?),
        finished: finished.map(seconds),
        ..Job::default()
    };
    match serde_json::from_str(&settings) {
        Ok(settings) => job.settings = settings,
        Err(error) => {
            job.state = JobState::Failed;
            job.error.get_or_insert(ErrorBody {
                code: "unreadable_job",
                message: format!("the settings of this job cannot be read: {error}"),
                hint: Some("order the picture again".to_owned()),
            });
        }
    }
    Ok(Waiting { job, place: row.get(11)? })
}

/// Writes new jobs.
pub(crate) fn insert(connection: &mut Connection, jobs: &[Waiting], now: u64) -> rusqlite::Result<()> {
    let change = connection.transaction()?;
    {
        let mut statement = change.prepare_cached(
            "INSERT INTO jobs(number, batch, source, state, place, step, steps, settings, created)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        for Waiting { job, place } in jobs {
            statement.execute(params![
                number(&job.id),
                job.batch,
                job.source.word(),
                job.state.word(),
                place,
                job.step,
                job.steps,
                job.settings.to_json(),
                i64::try_from(now).unwrap_or(i64::MAX),
            ])?;
        }
    }
    change.commit()
}

/// Writes how far jobs are or how they ended.
pub(crate) fn update<'a>(
    connection: &mut Connection,
    jobs: impl Iterator<Item = &'a Job>,
    now: u64,
) -> rusqlite::Result<()> {
    let change = connection.transaction()?;
    {
        let mut statement = change.prepare_cached(
            "UPDATE jobs SET state = ?2, step = ?3, steps = ?4, picture = ?5, error = ?6, finished = ?7, remarks = ?8
             WHERE number = ?1",
        )?;
        for job in jobs {
            let error = job.error.as_ref().and_then(|error| serde_json::to_string(error).ok());
            let finished = job.is_over().then(|| i64::try_from(now).unwrap_or(i64::MAX));
            let word = job.state.word();
            let remarks = (!job.remarks.is_empty()).then(|| serde_json::to_string(&job.remarks).ok()).flatten();
            let row = params![number(&job.id), word, job.step, job.steps, job.picture, error, finished, remarks];
            statement.execute(row)?;
        }
    }
    change.commit()
}

/// Writes the order of jobs.
pub(crate) fn reorder<'a>(
    connection: &mut Connection,
    jobs: impl Iterator<Item = &'a Waiting>,
) -> rusqlite::Result<()> {
    let change = connection.transaction()?;
    {
        let mut statement = change.prepare_cached("UPDATE jobs SET place = ?2 WHERE number = ?1")?;
        for Waiting { job, place } in jobs {
            statement.execute(params![number(&job.id), place])?;
        }
    }
    change.commit()
}

/// The jobs that a restarted server goes on with: the one that was running first, then the order.
pub(crate) fn unfinished(connection: &Connection) -> rusqlite::Result<Vec<Waiting>> {
    connection
        .prepare(&format!(
            "SELECT {COLUMNS} FROM jobs WHERE state IN ('running', 'waiting') ORDER BY state = 'waiting', place, number"
        ))?
        .query_map([], waiting)?
        .collect()
}

/// The largest number that was ever given to a job.
pub(crate) fn last_number(connection: &Connection) -> rusqlite::Result<u64> {
    let number: i64 = connection.query_row(
        "SELECT max(ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'jobs'), 0),
                    ifnull((SELECT max(number) FROM jobs), 0))",
        [],
        |row| row.get(0),
    )?;
    Ok(u64::try_from(number).unwrap_or(0))
}

pub(crate) fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<Job>> {
    let Some(number) = number(id) else { return Ok(None) };
    let found = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM jobs WHERE number = ?1"))?
        .query_row([number], waiting)
        .optional()?;
    Ok(found.map(|found| found.job))
}

/// Up to `limit` jobs in these states before job `before`, newest first, and whether older ones follow.
pub(crate) fn page(
    connection: &Connection,
    states: &[JobState],
    batch: Option<&str>,
    before: Option<i64>,
    limit: usize,
) -> rusqlite::Result<(Vec<Job>, bool)> {
    let marks = vec!["?"; states.len()].join(", ");
    let mut values: Vec<Value> = states.iter().map(|state| Value::from(state.word().to_owned())).collect();
    let mut wheres = format!("state IN ({marks})");
    if let Some(batch) = batch {
        wheres.push_str(" AND batch = ?");
        values.push(Value::from(batch.to_owned()));
    }
    wheres.push_str(" AND number < ?");
    values.push(Value::from(before.unwrap_or(i64::MAX)));
    let sql =
        format!("SELECT {COLUMNS} FROM jobs WHERE {wheres} ORDER BY number DESC LIMIT {}", limit.saturating_add(1));
    let mut statement = connection.prepare_cached(&sql)?;
    let jobs = statement.query_map(params_from_iter(values), waiting)?;
    let mut jobs = jobs.map(|row| row.map(|row| row.job)).collect::<rusqlite::Result<Vec<_>>>()?;
    let more = jobs.len() > limit;
    jobs.truncate(limit);
    Ok((jobs, more))
}

/// Forgets all but the newest finished jobs.
pub(crate) fn prune(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM jobs WHERE state NOT IN ('running', 'waiting') AND number < ifnull((SELECT number FROM jobs
             WHERE state NOT IN ('running', 'waiting') ORDER BY number DESC LIMIT 1 OFFSET ?1), 0)",
        )?
        .execute([KEPT])?;
    Ok(())
}

/// A lasting switch.
pub(crate) fn switch(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM facts WHERE name = ?1 AND value = 'on'")?.exists([name])
}

/// Sets a lasting switch.
pub(crate) fn set_switch(connection: &Connection, name: &str, on: bool) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO facts(name, value) VALUES(?1, ?2)")?
        .execute([name, if on { "on" } else { "off" }])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_has_one_name() {
        for (id, found) in
            [("j1", Some(1)), ("j20", Some(20)), ("j01", None), ("j", None), ("j+1", None), ("1", None), ("jx", None)]
        {
            assert_eq!(number(id), found, "{id}");
        }
    }
}
