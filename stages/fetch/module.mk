NEEDS.stage/fetch := cli manifest http store hash
