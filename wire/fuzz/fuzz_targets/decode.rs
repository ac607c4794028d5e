//! Any bytes decode or are an error; what decodes encodes to something that decodes to the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (bool, Vec<u8>)| {
    let (repair, mut bytes) = input;
    // With the checksum repaired the readers behind it see the bytes too.
    if repair && bytes.len() > 2 {
        bytes[0] = 1;
        tickberry_wire::batch::repair_checksum(&mut bytes);
    }
    if let Ok(batch) = tickberry_wire::decode(&bytes) {
        let mut again = Vec::new();
        tickberry_wire::encode(&batch, &mut again).expect("what was decoded can be encoded");
        assert_eq!(tickberry_wire::decode(&again), Ok(batch));
    }
});
