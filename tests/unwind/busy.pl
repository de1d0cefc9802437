# SPDX-License-Identifier: GPL-2.0-only
# Allocates in closures, sort callbacks, regular expressions, evals and formats.
use strict;
use warnings;

sub descend {
	my ($depth) = @_;
	return join(',', map { $_ x 30 } 1 .. 10) if $depth == 0;
	return descend($depth - 1) . $depth;
}

while (1) {
	my %table = map { ("key $_" => ['x' x ($_ % 300)]) } 1 .. 500;
	my @sorted = sort { ($table{$a}[0] . 'a') cmp ($table{$b}[0] . 'b') } keys %table;
	my $text = join ';', @sorted;
	$text =~ s/(\d+)/sprintf('%05d', $1) . descend($1 % 15)/ge;
	eval { die { message => $text } };
}
