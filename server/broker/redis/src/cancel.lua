-- Takes a ticket out for good. ARGV: id.
return remove(ARGV[1]) and 1 or 0
