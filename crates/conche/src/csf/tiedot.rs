//! CSF's database: reads the reactions out of a tiedot folder, without tiedot.
//!
//! A collection is a folder; its documents are in `dat_0`, `dat_1`, … one for each
//! partition. A file is records back to back: a byte that says whether the record counts, ten
//! bytes with the zig-zag varint of its room, then as many bytes of JSON padded with spaces.
//! The file grows in steps filled with zeros, so a header of zeros is the end.
//! Source: tiedot v3, `data/collection.go`.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

use super::Error;

/// The collection that CSF keeps its reactions in.
const COLLECTION: &str = "reactions";
/// Bytes before a record's document.
const HEADER: usize = 11;
/// The largest room of a record (tiedot's `DocMaxRoom`).
const ROOM_MAX: usize = 2 * 1024 * 1024;
/// Bytes of one file that are read.
const BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Records that count of a database that are read: CSF kept all its reactions in memory.
const RECORDS_MAX: usize = 10_000;
/// Partitions that are looked for.
const PARTITIONS_MAX: usize = 4096;

/// What was found in a database.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The documents in the order in which they are stored.
    pub(crate) documents: Vec<Value>,
    /// What could not be read: file, offset and why.
    pub(crate) faults: Vec<String>,
    /// Records that count, readable or not.
    records: usize,
}

/// Whether a folder is a database that has ever held reactions.
pub(super) fn is_database(dir: &Path) -> bool {
    dir.join(COLLECTION).join("dat_0").is_file()
}

/// Reads every reaction of a database.
pub(crate) fn read(dir: &Path) -> Result<Reading, Error> {
    let collection = dir.join(COLLECTION);
    let mut reading = Reading::default();
    if !is_database(dir) {
        let message =
            format!("there is no file `{COLLECTION}/dat_0`: this is no database of CSF's");
        return Err(Error::Syntax {
            file: dir.to_owned(),
            message,
        });
    }
    for partition in 0..PARTITIONS_MAX {
        let file = collection.join(format!("dat_{partition}"));
        if !file.exists() {
            break;
        }
        let bytes = contents(&file)?;
        records(&file, &bytes, &mut reading);
    }
    Ok(reading)
}

/// What is in a file of a partition: a pipe or a device might never end.
fn contents(file: &Path) -> Result<Vec<u8>, Error> {
    let refused = |source| Error::Read {
        file: file.to_owned(),
        source,
    };
    let wrong = |message: String| Error::Syntax {
        file: file.to_owned(),
        message,
    };
    if !std::fs::metadata(file).map_err(refused)?.is_file() {
        return Err(wrong("it is no file".to_owned()));
    }
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(refused)?;
    let read = opened.take(BYTES_MAX + 1).read_to_end(&mut bytes);
    if read.map_err(refused)? as u64 > BYTES_MAX {
        return Err(wrong(format!(
            "it has more than the {BYTES_MAX} bytes that are read"
        )));
    }
    Ok(bytes)
}

fn records(file: &Path, bytes: &[u8], reading: &mut Reading) {
    let mut at = 0;
    while let Some(header) = bytes.get(at..at + HEADER) {
        if header.iter().all(|&byte| byte == 0) {
            return;
        }
        let faults = &mut reading.faults;
        let mut fault = |what: &str| {
            let file = file.display();
            faults.push(format!("{file}: byte {at}: {what}"));
        };
        if header[0] == 1 {
            if reading.records >= RECORDS_MAX {
                return fault("more records than a database of CSF's has; the rest is not read");
            }
            reading.records += 1;
        }
        let room = room(&header[1..]).filter(|room| (1..=ROOM_MAX).contains(room));
        let Some(room) = room else {
            // Where the next record begins cannot be known.
            return fault("a record without a sane length; the rest of the file is not read");
        };
        let Some(document) = bytes.get(at + HEADER..at + HEADER + room) else {
            return fault("the file ends within a record");
        };
        match header[0] {
            0 => {}
            1 => match serde_json::from_slice(document.trim_ascii()) {
                Ok(document) => reading.documents.push(document),
                Err(error) => fault(&format!("a document that is not JSON: {error}")),
            },
            _ => return fault("a record that is neither there nor gone"),
        }
        at += HEADER + room;
    }
}

/// The zig-zag varint of Go's `binary.PutVarint`.
fn room(bytes: &[u8]) -> Option<usize> {
    let mut raw: u64 = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        raw |= u64::from(byte & 0x7f).checked_shl(7 * u32::try_from(index).ok()?)?;
        if byte & 0x80 == 0 {
            // An even number is one that is not negative.
            return (raw & 1 == 0).then(|| usize::try_from(raw >> 1).ok())?;
        }
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A record as tiedot writes it: twice as much room as the document needs.
    pub(in crate::csf) fn record(valid: bool, document: &str) -> Vec<u8> {
        let room = document.len() * 2;
        let mut raw = (room as u64) << 1;
        let mut header = vec![u8::from(valid)];
        while raw >= 0x80 {
            header.push((raw as u8 & 0x7f) | 0x80);
            raw >>= 7;
        }
        header.push(raw as u8);
        header.resize(HEADER, 0);
        header.extend(document.as_bytes());
        header.resize(HEADER + room, b' ');
        header
    }

    /// A database with these files.
    pub(in crate::csf) fn database(files: &[Vec<u8>]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(COLLECTION)).unwrap();
        for (index, bytes) in files.iter().enumerate() {
            let mut bytes = bytes.clone();
            bytes.resize(bytes.len() + 4096, 0);
            let file = dir.path().join(COLLECTION).join(format!("dat_{index}"));
            std::fs::write(file, bytes).unwrap();
        }
        dir
    }

    #[test]
    fn documents_that_count_are_read_from_every_partition() {
        let long = format!(r#"{{"name":"{}"}}"#, "é".repeat(400));
        let first = [
            record(true, r#"{"name":"a"}"#),
            record(false, r#"{"name":"deleted"}"#),
            record(true, &long),
        ];
        let dir = database(&[first.concat(), Vec::new(), record(true, r#"{"name":"b"}"#)]);
        let reading = read(dir.path()).unwrap();
        let names: Vec<&str> = reading
            .documents
            .iter()
            .map(|document| document["name"].as_str().unwrap())
            .collect();
        assert_eq!(names[0], "a");
        assert_eq!(names[1].chars().count(), 400);
        assert_eq!(names[2], "b");
        assert!(reading.faults.is_empty());
    }

    #[test]
    fn what_is_broken_is_said_and_the_rest_is_read() {
        let torn = [record(true, "{\"name\":"), record(true, r#"{"name":"a"}"#)].concat();
        let dir = database(&[
            torn,
            b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        ]);
        let reading = read(dir.path()).unwrap();
        assert_eq!(reading.documents.len(), 1);
        assert_eq!(reading.faults.len(), 2, "{:?}", reading.faults);
        assert!(reading.faults[0].contains("byte 0: a document that is not JSON"));
    }

    #[test]
    fn a_folder_that_is_no_database_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let refused = read(dir.path()).unwrap_err().to_string();
            assert!(refused.contains("no database of CSF's"), "{refused}");
            // Nor is it one with a folder of that name that holds something else.
            std::fs::create_dir_all(dir.path().join(COLLECTION)).unwrap();
        }
    }

    #[test]
    fn a_pipe_or_a_device_is_not_read() {
        let dir = database(&[record(true, r#"{"name":"a"}"#)]);
        let second = dir.path().join(COLLECTION).join("dat_1");
        std::os::unix::fs::symlink("/dev/zero", &second).unwrap();
        let refused = read(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("it is no file"), "{refused}");
    }

    #[test]
    fn a_file_of_countless_records_is_given_up_and_said_so() {
        let many = record(true, "{\"").repeat(RECORDS_MAX + 5);
        let reading = read(database(&[many.clone(), many]).path()).unwrap();
        // One for each record that is read, and one for each file that is not read to its end.
        assert_eq!(reading.faults.len(), RECORDS_MAX + 2);
        let last = reading.faults.last().unwrap();
        assert!(last.contains("the rest is not read"), "{last}");
    }

    #[test]
    fn no_bytes_make_the_reader_fail_or_run_on() {
        let mut bytes: Vec<u8> = Vec::new();
        let mut seed = 7_u32;
        for _ in 0..2000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bytes.push((seed >> 24) as u8);
            let mut reading = Reading::default();
            records(Path::new("dat_0"), &bytes, &mut reading);
            assert!(reading.documents.is_empty());
        }
    }
}
