NEEDS.stage/scan := cli manifest
