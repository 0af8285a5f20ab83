//! Field sections by the published examples, by round trips, and broken in every place.

use proptest::prelude::*;

use super::*;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn decoded(section: &[u8]) -> Result<Fields, Unreadable> {
    let mut fields = Vec::new();
    decode(section, |name, value| {
        fields.push((name.to_vec(), value.to_vec()));
        Ok::<(), Unreadable>(())
    })?;
    Ok(fields)
}

#[test]
fn the_example_of_the_standard_is_read() {
    // RFC 9204 appendix B.1.
    let section = b"\x00\x00\x51\x0b/index.html";
    assert_eq!(decoded(section), Ok(vec![(b":path".to_vec(), b"/index.html".to_vec())]));
}

#[test]
fn a_dynamic_table_was_never_announced() {
    // RFC 9204 appendix B.2, B.4: post-base and relative references, and a count of inserts.
    for section in [
        &[3, 0x81, 0x10, 0x11][..],
        &[5, 0, 0x80],
        &[0, 0, 0x80],
        &[0, 0, 0x10],
        &[0, 0, 0x40, 0],
        &[0, 0, 0, 0],
    ] {
        assert_eq!(decoded(section), Err(Unreadable::Broken), "{section:?}");
    }
}

#[test]
fn what_is_cut_off_or_beyond_the_table_is_broken() {
    for section in [
        &[][..],
        &[0],
        &[0, 0, 0xff],
        // Entry 99, and an index of ten bytes.
        &[0, 0, 0xff, 36],
        &[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        &[0, 0, 0x51, 5, b'/'],
        &[0, 0, 0x27],
        // Padding of a whole byte.
        &[0, 0, 0x51, 0x81, 0xff],
    ] {
        assert_eq!(decoded(section), Err(Unreadable::Broken), "{section:?}");
    }
    assert_eq!(decoded(&[0, 0, 0xff, 35]).unwrap()[0].1, b"sameorigin");
}

#[test]
fn a_section_is_measured_unpacked() {
    // One byte stands for a whole field: as many as fit a frame would be far more than was announced.
    assert_eq!(decoded(&[&[0, 0][..], &[0xc0 | 17; 8 * 1024]].concat()), Err(Unreadable::TooLarge));
    let fit = HEAD_BYTES_MAX / (7 + 3 + 32);
    assert_eq!(decoded(&[&[0, 0][..], &vec![0xc0 | 17; fit]].concat()).unwrap().len(), fit);
    assert_eq!(decoded(&[&[0, 0][..], &vec![0xc0 | 17; fit + 1]].concat()), Err(Unreadable::TooLarge));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        fields in prop::collection::vec(("[a-z-]{1,200}", "[ -~]{0,300}", any::<bool>()), 0..8),
        status in 100_u16..1000,
    ) {
        let mut out = BytesMut::new();
        begin(&mut out);
        put_status(&mut out, status);
        for (name, value, is_secret) in &fields {
            put(&mut out, name, value.as_bytes(), *is_secret);
        }
        let mut expected: Fields = vec![(b":status".to_vec(), status.to_string().into_bytes())];
        expected.extend(fields.iter().map(|(n, v, _)| (n.clone().into_bytes(), v.clone().into_bytes())));
        prop_assert_eq!(decoded(&out), Ok(expected));
    }

    #[test]
    fn nothing_can_break_it(mut section in prop::collection::vec(any::<u8>(), 0..300), has_prefix in any::<bool>()) {
        if has_prefix {
            section.splice(0..0, [0, 0]);
        }
        let _ = decoded(&section);
    }
}

#[test]
fn every_entry_of_the_table_is_written_as_itself_or_by_its_name() {
    for (i, (name, value)) in table::FIELDS.iter().enumerate() {
        let mut out = BytesMut::new();
        begin(&mut out);
        put(&mut out, name, value.as_bytes(), false);
        assert_eq!(decoded(&out), Ok(vec![(name.as_bytes().to_vec(), value.as_bytes().to_vec())]), "{i}");
    }
    for status in 100..1000 {
        if let Some(index) = table::status(status) {
            assert_eq!(table::FIELDS[usize::from(index)], (":status", &*status.to_string()));
        }
    }
}
