//! This server's own formats of a binding: a JSON object, or columns.

use super::rows::Row;
use crate::control::view::{BindingView, Moment};
use csv::{ReaderBuilder, StringRecord, WriterBuilder};
use lease::AbsTime;

/// The first line of a file with columns. Times are seconds since 1970, or `never`.
pub const CSV_HEADER: &str = "lease,kind,duid,iaid,link,status,preferred-secs,valid-secs,cltt,\
                              status-since,expires,accepts-reconfigure,via,subscriber,subscriber-ia";
/// The first line of files from before leases could be a subscriber's.
pub const CSV_HEADER_WITHOUT_SUBSCRIBER: &str = "lease,kind,duid,iaid,link,status,preferred-secs,valid-secs,cltt,\
     status-since,expires,accepts-reconfigure,via";
const COLUMNS: usize = 15;
const COLUMNS_WITHOUT_SUBSCRIBER: usize = 13;

/// A binding in columns, without the end of the line.
pub fn csv_row(view: &BindingView) -> String {
    let moment = |moment: &Moment| match AbsTime(moment.secs_since_2000) {
        AbsTime::NEVER => "never".to_owned(),
        time => time.unix_secs().to_string(),
    };
    let row: [String; COLUMNS] = [
        view.lease.clone(),
        view.kind.clone(),
        view.duid.clone(),
        view.iaid.to_string(),
        view.link.clone(),
        view.status.clone(),
        view.preferred_secs.to_string(),
        view.valid_secs.to_string(),
        moment(&view.cltt),
        moment(&view.status_since),
        moment(&view.expires),
        view.accepts_reconfigure.to_string(),
        view.via.clone(),
        view.subscriber.clone(),
        view.subscriber_ia.to_string(),
    ];
    let mut writer = WriterBuilder::new().from_writer(Vec::new());
    // Writing to memory cannot fail, and what is written is what was text before.
    let written = writer.write_record(&row).is_ok();
    let octets = writer.into_inner().unwrap_or_default();
    debug_assert!(written);
    String::from_utf8_lossy(&octets).trim_end().to_owned()
}

pub(super) fn parse_json(line: &str) -> Row {
    match serde_json::from_str(line) {
        Ok(view) => Row::Lease(view),
        Err(error) => Row::Skipped {
            what: String::new(),
            why: format!("not a binding in JSON: {error}"),
        },
    }
}

pub(super) fn parse_csv(line: &str) -> Row {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(line.as_bytes());
    let mut record = StringRecord::new();
    let skipped = |why: String| Row::Skipped {
        what: line.split(',').next().unwrap_or_default().to_owned(),
        why,
    };
    match reader.read_record(&mut record) {
        Ok(_) if [COLUMNS, COLUMNS_WITHOUT_SUBSCRIBER].contains(&record.len()) => {
            match view(&record) {
                Ok(view) => Row::Lease(Box::new(view)),
                Err(why) => skipped(why),
            }
        }
        Ok(_) => skipped(format!("{} columns instead of {COLUMNS}", record.len())),
        Err(error) => skipped(error.to_string()),
    }
}

fn view(record: &StringRecord) -> Result<BindingView, String> {
    let text = |index: usize| record.get(index).unwrap_or_default().to_owned();
    let number = |index: usize| -> Result<u32, String> {
        let text = text(index);
        let wrong = |_| format!("{text:?} in column {} is not a number", index + 1);
        text.parse().map_err(wrong)
    };
    let moment = |index: usize| -> Result<Moment, String> {
        let text = text(index);
        if text == "never" {
            return Ok(AbsTime::NEVER.into());
        }
        let wrong = |_| format!("{text:?} in column {} is not a time", index + 1);
        Ok(AbsTime::from_unix_secs(text.parse().map_err(wrong)?).into())
    };
    Ok(BindingView {
        lease: text(0),
        kind: text(1),
        duid: text(2),
        iaid: number(3)?,
        subscriber: text(13),
        subscriber_ia: match record.len() {
            COLUMNS => number(14)?,
            _ => 0,
        },
        link: text(4),
        pool: String::new(),
        reserved: String::new(),
        status: text(5),
        preferred_secs: number(6)?,
        valid_secs: number(7)?,
        cltt: moment(8)?,
        status_since: moment(9)?,
        expires: moment(10)?,
        partner: None,
        accepts_reconfigure: text(11) == "true",
        via: text(12),
    })
}
