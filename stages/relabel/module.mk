NEEDS.stage/relabel := cli manifest review
