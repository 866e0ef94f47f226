//! Faults that real disks won't produce on demand.

use super::{FILE_MAGIC, FrameWriter, Media, PAYLOAD_BYTES_MAX, Scan, scan};
use crate::ledger::LedgerError;
use std::io;
use std::path::{Path, PathBuf};

/// A disk in memory with so much room, which may break in other ways.
#[derive(Debug, Default)]
struct Disk {
    bytes: Vec<u8>,
    room: Option<usize>,
    sync_fails: bool,
    truncate_fails: bool,
}

impl Media for Disk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = self.room.map_or(usize::MAX, |room| room.saturating_sub(self.bytes.len()));
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.sync_fails { Err(io::Error::other("the disk is gone")) } else { Ok(()) }
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        if self.truncate_fails {
            return Err(io::Error::other("the disk is gone"));
        }
        self.bytes.truncate(usize::try_from(len).unwrap());
        Ok(())
    }
}

fn writer() -> FrameWriter<Disk> {
    let disk = Disk { bytes: FILE_MAGIC.to_vec(), ..Disk::default() };
    FrameWriter::new(disk, PathBuf::from("entries.log"), FILE_MAGIC.len() as u64)
}

fn read(bytes: &[u8]) -> Result<(Scan, Vec<Vec<u8>>), LedgerError> {
    let mut found = Vec::new();
    let mut reader = bytes;
    let scan = scan(Path::new("entries.log"), &mut reader, |offset, entry| {
        let at = usize::try_from(offset).unwrap();
        assert_eq!(&bytes[at..at + entry.len()], entry, "the offset points at the entry");
        found.push(entry.to_vec());
        Ok(())
    })?;
    Ok((scan, found))
}

#[test]
fn a_full_disk_keeps_what_was_there_and_takes_more_once_there_is_room() {
    for room in 0..200 {
        let mut writer = writer();
        writer.append(&[b"one".to_vec()]).unwrap();
        let before = writer.media.bytes.clone();
        writer.media.room = Some(before.len() + room);
        let batch = [vec![b'x'; 100], vec![b'y'; 80]];
        let needed = 16 + 104 + 84;
        let result = writer.append(&batch);
        if room < needed {
            assert!(matches!(result, Err(LedgerError::DiskFull { .. })), "room for {room}");
            assert_eq!(writer.media.bytes, before);
        }
        writer.media.room = None;
        writer.append(&batch).unwrap();
        let (end, found) = read(&writer.media.bytes).unwrap();
        assert_eq!(found, [b"one".to_vec(), batch[0].clone(), batch[1].clone()]);
        assert_eq!((end.valid_len, end.torn_bytes), (writer.len(), 0));
    }
}

#[test]
fn nothing_follows_what_could_not_be_undone() {
    let mut writer = writer();
    writer.media.sync_fails = true;
    assert!(matches!(writer.append(&[b"one".to_vec()]), Err(LedgerError::Io { .. })));
    writer.media.sync_fails = false;
    assert!(matches!(writer.append(&[b"two".to_vec()]), Err(LedgerError::Poisoned { .. })));

    let mut writer = self::writer();
    (writer.media.room, writer.media.truncate_fails) = (Some(30), true);
    assert!(matches!(writer.append(&[b"one".to_vec()]), Err(LedgerError::DiskFull { .. })));
    writer.media.room = None;
    assert!(matches!(writer.append(&[b"two".to_vec()]), Err(LedgerError::Poisoned { .. })));
}

#[test]
fn large_batches_become_several_frames() {
    let mut writer = writer();
    let batch: Vec<Vec<u8>> = (0..=255_u8).chain(0..44).map(|n| vec![n; 60_000]).collect();
    assert!(batch.iter().map(Vec::len).sum::<usize>() > 2 * PAYLOAD_BYTES_MAX);
    writer.append(&batch).unwrap();
    assert_eq!(read(&writer.media.bytes).unwrap().1, batch);
}

#[test]
fn a_cut_anywhere_is_a_torn_end() {
    let mut writer = writer();
    let mut ends = vec![writer.len()];
    for n in 0..4 {
        writer.append(&[vec![b'a' + n; 10], vec![b'A'; 5]]).unwrap();
        ends.push(writer.len());
    }
    let bytes = &writer.media.bytes;
    for cut in FILE_MAGIC.len()..=bytes.len() {
        let (end, found) = read(&bytes[..cut]).unwrap();
        let whole = ends.iter().filter(|&&end| end <= cut as u64).count() - 1;
        assert_eq!(end.valid_len, ends[whole]);
        assert_eq!(end.torn_bytes, cut as u64 - ends[whole]);
        assert_eq!(found.len(), 2 * whole);
    }
    for cut in 0..FILE_MAGIC.len() {
        assert!(read(&bytes[..cut]).is_err());
    }
}

#[test]
fn a_changed_bit_is_found_and_only_the_last_frame_looks_torn() {
    let mut writer = writer();
    writer.append(&[b"the first entry".to_vec()]).unwrap();
    let last = writer.len();
    writer.append(&[b"the last entry".to_vec()]).unwrap();
    let bytes = writer.media.bytes;
    for bit in 0..8 * bytes.len() {
        let mut altered = bytes.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        match read(&altered) {
            Err(LedgerError::Corrupt { .. }) => assert!((bit as u64) / 8 < last),
            Ok((end, found)) => {
                assert!((bit as u64) / 8 >= last, "bit {bit} passed");
                assert_eq!((end.valid_len, found.len()), (last, 1));
            }
            Err(other) => panic!("bit {bit}: {other}"),
        }
    }
}

#[test]
fn garbage_longer_than_a_batch_is_no_torn_end() {
    let mut bytes = FILE_MAGIC.to_vec();
    bytes.resize(bytes.len() + PAYLOAD_BYTES_MAX + 17, b'z');
    assert!(matches!(read(&bytes), Err(LedgerError::Corrupt { .. })));
}
