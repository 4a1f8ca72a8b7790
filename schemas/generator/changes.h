// What changed between two schemas, and which peers each change breaks.
//
// A change breaks when something that worked between two peers of the old schema fails where one of them has the new
// one. What fails only when somebody uses what is new, or looks wrong and is not, is a warning. Changes without any
// such effect (a field or a method added, a field deprecated) are not listed.
//
// Who breaks follows from who reads whose messages. Requests go from client to server and replies back, so a table that
// new readers cannot read as old writers wrote it breaks old clients where it is a request, and old servers where it is
// a reply.
#pragma once

#include <string>
#include <vector>

#include "model.h"

namespace gen {

struct Change {
  Where where;                      // in the new schema, or in the old one for what is gone
  std::string rule;                 // for scripts: field_type
  std::string what;                 // field 'price' of table desk.Order is a long; it was an int
  std::string why;                  // what happens to whom
  bool breaks_old_clients = false;  // clients of the old schema at a server of the new one
  bool breaks_old_servers = false;  // servers of the old schema with a client of the new one
  [[nodiscard]] bool breaks() const { return breaks_old_clients || breaks_old_servers; }
};

// Of the services that the schemas themselves declare and everything that their methods reach; of all tables where the
// old schema declares no service. Both models have passed check() as far as methods and their ids go.
std::vector<Change> changes(const Model& old_model, const Model& new_model);

}  // namespace gen
