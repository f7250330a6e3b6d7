NEEDS.stage/import := cli manifest store hash
